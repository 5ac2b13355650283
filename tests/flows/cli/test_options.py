from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cvgl.config import AdaptConfig, EvaluateConfig, ExtractConfig, Facet, GatePolicy, Recipe, RunConfig, SelectConfig
from flows.cli import options
from flows.cli.command import Answer, command
from flows.cli.fields import field_of
from flows.cli.options import Draft, as_options
from flows.cli.settings import (
    ADAPTER,
    ALIGN,
    ALIGN_VIEW,
    ALIGNMENT,
    CLUSTER,
    DATASET,
    EVALUATION,
    FEATURES,
    LAKE,
    LAYOUT,
    REGISTRY,
    SELECTION,
    SOURCE,
    Setting,
)

ALL = (DATASET, SOURCE, LAYOUT, ALIGN, ALIGNMENT, ALIGN_VIEW, FEATURES, CLUSTER, ADAPTER, SELECTION, EVALUATION, REGISTRY, LAKE)
EVERY_SETTING = [setting for group in ALL for setting in group]


def parse(*arguments: str, groups: tuple[tuple[Setting, ...], ...] = ALL) -> Draft:
    """What a command with these groups gets from a command line."""
    app, drafts = typer.Typer(), list[Draft]()

    @command(app, *groups)
    def show(draft: Draft) -> Answer:
        drafts.append(draft)
        return Answer(None, "")

    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return drafts[0]


def test_nothing_given_is_the_defaults_of_the_settings() -> None:
    config = parse("--source", "pictures", "--dataset", "campus").run()
    assert config == RunConfig.model_validate({"ingest": {"source": "pictures", "dataset": "campus"}})


def test_each_option_fills_its_field() -> None:
    config = parse(
        *("--source", "s", "--dataset", "d", "--lake", "l", "--backbone", "vit", "--layer", "-2", "--facet", "value"),
        *(
            "--query-crop",
            "0.7",
            "--reference-rotations",
            "4",
            "--seed",
            "3",
            "--recipe",
            "paper",
            "--dimension",
            "64",
            "--half-storage",
        ),
        *("--protocol", "university1652-951", "--protocol", "university1652-701", "--tolerance", "0.01"),
        *("--gate-policy", "not-worse-when-grown", "--non-inferiority-margin", "0.03", "--gate-confidence", "0.9"),
        *("--gate-resamples", "500", "--gate-seed", "7"),
    ).run()
    assert config.lake == "l"
    assert config.extract.backbone.name == "vit"
    assert config.extract.backbone.layers == (-2,)
    assert config.extract.backbone.facet is Facet.VALUE
    assert config.extract.half_storage is True
    assert config.extract.alignment.query_crop == 0.7
    assert config.extract.alignment.reference_rotations == 4
    assert (config.adapt.seed, config.adapt.dimension) == (3, 64)
    assert config.evaluate.protocols == ("university1652-951", "university1652-701")
    rules = config.registry
    assert (rules.tolerance, rules.policy, rules.grown_tolerance) == (0.01, GatePolicy.NON_INFERIORITY, 0.03)
    assert (rules.confidence, rules.resamples, rules.seed) == (0.9, 500, 7)


@pytest.mark.parametrize("setting", EVERY_SETTING, ids=lambda setting: setting.flag)
def test_every_option_names_a_field_that_exists(setting: Setting) -> None:
    assert field_of(setting.path) is not None
    assert len([other for other in EVERY_SETTING if other.flag == setting.flag]) == 1


def test_options_go_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"adapt": {"seed": 5, "iterations": 7}, "ingest": {"dataset": "campus"}}))
    draft = parse("--config", str(file), "--seed", "6")
    assert draft.section("adapt", AdaptConfig) == AdaptConfig(seed=6, iterations=7)
    assert draft.dataset == "campus"
    assert draft.section("extract", ExtractConfig) == ExtractConfig()


def test_the_lake_comes_from_the_environment_unless_it_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CVGL_LAKE", str(tmp_path / "a"))
    assert parse(groups=(LAKE,)).lake.root == tmp_path / "a"
    assert parse("--lake", str(tmp_path / "b"), groups=(LAKE,)).lake.root == tmp_path / "b"
    monkeypatch.delenv("CVGL_LAKE")
    monkeypatch.chdir(tmp_path)
    assert parse(groups=(LAKE,)).lake.root == tmp_path / ".cvgl"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adapt": {"threshold": 2}}, "--threshold"),
        ({"adapt": {"sead": 2}}, "adapt.sead"),
        ({"adapt": {"seed": "one"}}, "--seed"),
    ],
)
def test_what_has_no_meaning_is_refused_by_the_name_of_its_option(values: dict[str, object], message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        Draft(values).section("adapt", AdaptConfig)


def test_a_run_without_its_dataset_says_which_option_is_missing() -> None:
    with pytest.raises(typer.BadParameter, match=r"--dataset.*--source|--source.*--dataset"):
        Draft({"ingest": {}}).run()
    with pytest.raises(typer.BadParameter, match="--dataset"):
        _ = Draft({}).dataset


@pytest.mark.parametrize("content", ["{", "[]", '"text"'])
def test_a_file_that_holds_no_settings_is_a_usage_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(typer.BadParameter, match=r"run\.json"):
        Draft.of([], file)


def test_a_default_fills_what_was_not_given_and_nothing_else() -> None:
    draft = Draft({"ingest": {"dataset": "a"}}).with_default("ingest", {"dataset": "b", "source": "s"})
    assert draft.dataset == "a"
    assert draft.source == "s"
    assert draft.section("evaluate", EvaluateConfig) == EvaluateConfig()


def test_a_default_that_the_recipe_decides_says_so() -> None:
    assert options._help(field_of("adapt.iterations")).endswith("(default: the recipe's)")
    assert options._help(field_of("adapt.threshold")).endswith("(default: 0.1)")


def test_a_recipe_brings_its_defaults_and_what_is_given_stays() -> None:
    adapt = parse("--recipe", "released", "--iterations", "9").section("adapt", AdaptConfig)
    assert adapt == AdaptConfig(recipe="released", iterations=9)
    assert adapt.learning_rate == 2e-4


def test_a_mistake_is_reported_alone_and_not_with_what_follows_from_it() -> None:
    with pytest.raises(typer.BadParameter) as caught:
        Draft({"adapt": {"recipe": "magic"}}).section("adapt", AdaptConfig)
    assert "--recipe" in caught.value.message
    assert "factory" not in caught.value.message
    with pytest.raises(typer.BadParameter, match="residual"):
        Draft({"adapt": {"recipe": "released", "residual": True}}).section("adapt", AdaptConfig)


def test_alignment_is_on_and_can_be_switched_off() -> None:
    common_options = ("--source", "s", "--dataset", "d")
    assert parse(*common_options).run().align.enabled
    assert not parse(*common_options, "--no-align").run().align.enabled
    assert parse(*common_options, "--align-samples", "50", "--align-passes", "900").run().align.max_passes == 900


def test_every_rule_of_the_choice_has_its_option() -> None:
    assert {setting.path for setting in SELECTION} == {f"select.{name}" for name in SelectConfig.model_fields}
    line = (
        "--select-candidate",
        "robust",
        "--select-candidate",
        "standardised-jointly",
        "--select-confidence",
        "2",
        "--select-z-sequence",
        "3",
    )
    more = ("--select-max-flops", "1e6", "--select-repeats", "3", "--select-min-images", "30")
    assert parse("--source", "s", "--dataset", "d", *line, *more).run().select == SelectConfig(
        candidates=(Recipe.ROBUST, Recipe.STANDARDISED_JOINTLY),
        confidence=2,
        confidence_along=3,
        most_work=1e6,
        repeats=3,
        fewest=30,
    )
    with pytest.raises(typer.BadParameter, match="--select-min-images"):
        Draft({"select": {"fewest": 1}}).section("select", SelectConfig)


def test_only_options_that_were_given_count_as_given() -> None:
    alignment = parse("--query-crop", "1.0", "--rings", "4").section("extract", ExtractConfig)
    assert alignment.alignment.model_fields_set == {"query_crop"}
    assert alignment.backbone.model_fields_set == {"rings"}


def test_options_made_of_settings_lead_back_to_them() -> None:
    line = [
        "--layer",
        "1",
        "--layer",
        "2",
        "--rings",
        "4",
        "--query-crop",
        "0.7",
        "--polar",
        "--no-flips",
        "--reference-scale",
        "0.5",
    ]
    config = parse(*line).section("extract", ExtractConfig)
    options_again = as_options(FEATURES, {"extract": config.model_dump(mode="json", exclude_unset=True)})
    assert parse(*options_again).section("extract", ExtractConfig) == config
    assert sorted(options_again) == sorted(line)
