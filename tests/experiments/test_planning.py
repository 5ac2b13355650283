from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cvgl.config import AlignConfig, BackboneConfig, ExtractConfig
from cvgl.datasets.detection import detect
from cvgl.errors import ConfigError
from cvgl.experiments.configuration import Kind, Sampling
from cvgl.experiments.contents import CONTENTS, Need
from cvgl.experiments.paper_models import PAPER_MODELS
from cvgl.experiments.planning import PagePlan, Resources, make_plan
from cvgl.experiments.settings import Overrides
from cvgl.experiments.sources import find_sources, ingestion
from cvgl.experiments.weights import AUTO, Choice, choose_backbones, find_weights
from cvgl.experiments.worlds import draw_world, world_source
from cvgl.lake import Lake
from tests.data.images import university1652

SWIN, VIT = "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"


@pytest.fixture
def at_hand(tmp_path: Path) -> Resources:
    """Pairs with one drone image a place, and two models that are none of the paper's."""
    root = tmp_path / "data"
    university1652(root / "pairs", train=2, test=2, views=1)
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in (SWIN, VIT):
        (weights / f"{name}.safetensors").touch()
    return resources(root, weights)


def resources(root: Path, weights: Path, requested: BackboneConfig | None = None) -> Resources:
    backbone = requested or BackboneConfig(name=AUTO)
    choice = choose_backbones(backbone, root, weights)
    return Resources(
        lake=Lake.at(root.parent / "lake"),
        data_root=root,
        sources=find_sources(root),
        found=find_weights(root, weights),
        choice=choice,
        given=AUTO if requested is None else choice.backbones[0].name,
        weights=weights,
        extract=ExtractConfig(backbone=backbone),
        align=AlignConfig(enabled=False),
        sampling=Sampling.UNIFORM,
        overrides=Overrides(),
        seeds=None,
    )


def again(available: Resources, *files: str) -> Resources:
    """The same with more files of weights."""
    folder = available.weights_folder
    for name in files:
        (folder / name).touch()
    return resources(available.data_root, folder)


def measured(plan: PagePlan) -> list[tuple[str, str, bool]]:
    return [(measurable.part, measurable.config.backbones[0].name, measurable.stands_in) for measurable in plan.measurables]


def test_models_at_hand_take_the_place_of_the_papers_and_what_is_lacking_is_told(at_hand: Resources) -> None:
    plan = make_plan("table1", at_hand)
    assert measured(plan) == [
        ("dinov2", SWIN, True),
        ("dinov2", VIT, True),
        ("anyloc", SWIN, True),
        ("anyloc", VIT, True),
    ]
    assert {measurable.config.backbones[0].pooling for measurable in plan.measurables if measurable.part == "anyloc"} == {
        "vlad"
    }
    assert all(measurable.config.frozen_only == (measurable.part == "anyloc") for measurable in plan.measurables)
    lacking = {measurable.part: measurable for measurable in plan.lacking}
    assert list(lacking) == ["resnet50", "dinov2", "anyloc", "fsra", "sample4geo"]
    assert "vit_giant_patch14_dinov2.lvd142m.safetensors" in lacking["dinov2"].reason
    assert lacking["dinov2"].command.startswith("cvgl reproduce table1 --data-root ")
    assert plan.notes == ()
    assert plan.replaced() == (PAPER_MODELS["dinov2"].title, PAPER_MODELS["anyloc"].title)


def test_the_papers_models_are_measured_where_their_weights_are(at_hand: Resources) -> None:
    available = again(
        at_hand, "vit_giant_patch14_dinov2.lvd142m.safetensors", "sample4geo_university1652.pth", "resnet50.safetensors"
    )
    plan = make_plan("table1", available)
    by_part = {measurable.part: measurable for measurable in plan.measurables}
    assert measured(plan) == [
        ("resnet50", "resnet50.tv_in1k", False),
        ("dinov2", "vit_giant_patch14_dinov2.lvd142m", False),
        ("anyloc", "vit_giant_patch14_dinov2.lvd142m", False),
        ("sample4geo", "sample4geo", False),
    ]
    giant = by_part["dinov2"].config.backbones[0]
    assert (giant.layers, str(giant.facet), str(giant.pooling)) == ((31,), "value", "gem")
    assert str(giant.checkpoint).endswith("vit_giant_patch14_dinov2.lvd142m.safetensors")
    assert [measurable.part for measurable in plan.lacking] == ["fsra"]


def test_a_model_that_is_asked_for_by_name_is_the_only_one(at_hand: Resources) -> None:
    requested = resources(
        at_hand.data_root, at_hand.weights_folder, BackboneConfig(name="dinov2-g-value31-gem", checkpoint="g.pth")
    )
    plan = make_plan("table8", requested)
    assert {(part, stands_in) for part, _, stands_in in measured(plan)} == {("dinov2", False), ("dinov2-single", False)}
    assert all(measurable.config.backbones[0].checkpoint == "g.pth" for measurable in plan.measurables)
    gist = resources(at_hand.data_root, at_hand.weights_folder, BackboneConfig(name="gist"))
    assert measured(make_plan("table1", gist)) == [("dinov2", "gist", True)]  # it has no local features to pool as AnyLoc does


def test_settings_of_the_frozen_model_reach_the_papers_models(at_hand: Resources) -> None:
    available = again(at_hand, "vit_giant_patch14_dinov2.lvd142m.safetensors")
    smaller = dataclasses.replace(available, extract=ExtractConfig(backbone=BackboneConfig(name=AUTO, image_size=112)))
    (giant,) = [entry for entry in make_plan("table6", smaller).measurables if not entry.stands_in]
    assert (giant.config.backbones[0].image_size, giant.config.backbones[0].layers) == (112, (31,))


@pytest.mark.parametrize("name", CONTENTS)
def test_every_page_has_data_of_its_layout_or_the_world_in_it(at_hand: Resources, name: str) -> None:
    plan = make_plan(name, at_hand)
    needs = {part.key: part.need for part in plan.contents.parts}
    for measurable in plan.measurables:
        assert measurable.source.kind is needs[measurable.part].kind
        assert measurable.source.drawn == (needs[measurable.part] is not Need.UNIVERSITY)
    drawn = {measurable.source.kind for measurable in plan.measurables if measurable.source.drawn} | {
        s.kind for s in plan.counted if s.drawn
    }
    assert len(plan.notes) == len(drawn)
    assert all("built-in world" in note for note in plan.notes)


def test_pairs_with_several_drone_images_need_no_world(at_hand: Resources) -> None:
    university1652(at_hand.data_root / "pairs", train=2, test=2, views=2)
    plan = make_plan("fig2", resources(at_hand.data_root, at_hand.weights_folder))
    assert not any(measurable.source.drawn for measurable in plan.measurables)


def test_seeds_are_the_experiments_own_unless_some_are_given(at_hand: Resources) -> None:
    assert make_plan("table6", at_hand).measurables[0].config.seeds == (0, 1, 2)
    requested = dataclasses.replace(at_hand, seeds=(5, 6))
    plan = make_plan("table4", requested)
    assert (plan.measurables[0].config.seeds, plan.measurables[0].config.split_seed) == ((5, 6), 5)


def test_university160k_serves_university1652_too(at_hand: Resources, tmp_path: Path) -> None:
    root = tmp_path / "more" / "data"
    folder = university1652(root / "u160k", train=2, test=2, views=2)
    (folder / "gallery_satellite_160k").mkdir()
    (folder / "gallery_satellite_160k" / "x.jpg").write_bytes(next(folder.rglob("0002.jpg")).read_bytes())
    available = resources(root, at_hand.weights_folder)
    assert [(source.name, source.kind) for source in available.sources] == [("u160k", Kind.UNIVERSITY160K)]
    first, second = make_plan("table2", available).measurables[0].source, make_plan("table1", available).measurables[0].source
    assert (first.kind, first.drawn, second.kind, second.drawn) == (Kind.UNIVERSITY160K, False, Kind.UNIVERSITY, False)
    assert first.dataset != second.dataset


@pytest.mark.parametrize("kind", [Kind.UNIVERSITY, Kind.UNIVERSITY160K, Kind.CVUSA, Kind.CVACT])
def test_a_world_is_drawn_in_the_layout_that_it_is_for(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvgl.experiments import worlds

    monkeypatch.setitem(worlds.SIZES, kind, dataclasses.replace(worlds.SIZES[kind], places=4, views=1))
    monkeypatch.setitem(worlds.SIZES, kind, dataclasses.replace(worlds.SIZES[kind], distractors=2))
    source = world_source(kind, Lake.at(tmp_path))
    assert not Path(source.folder).exists()
    draw_world(source)
    assert detect(Path(source.folder)).value == kind
    assert ingestion(source, Lake.at(tmp_path)).layout.value == kind
    before = {path: path.stat().st_mtime_ns for path in Path(source.folder).rglob("*.jpg")}
    draw_world(source)
    assert {path: path.stat().st_mtime_ns for path in Path(source.folder).rglob("*.jpg")} == before


def test_no_world_is_drawn_in_other_layouts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not drawn in the layout flights"):
        world_source(Kind.FLIGHTS, Lake.at(tmp_path))


def test_a_choice_of_nothing_but_the_papers_models_still_stands_in(at_hand: Resources) -> None:
    only = dataclasses.replace(at_hand, choice=Choice((BackboneConfig(name="resnet50", checkpoint="r.pth"),), ()))
    assert ("dinov2", "resnet50", True) in measured(make_plan("table1", only))
