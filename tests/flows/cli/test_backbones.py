"""`cvgl backbones`, and what the option --backbone makes of a preset's name."""

from __future__ import annotations

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from cvgl.backbones.released import RELEASED
from cvgl.config import PRESETS, BackboneConfig, ExtractConfig, Facet, PositionResampling, Preprocess
from flows.cli.command import Answer, command
from flows.cli.options import Draft, as_options
from flows.cli.settings import FEATURES
from tests.flows.cli.commands import invoke


def backbone(*arguments: str) -> BackboneConfig:
    """The frozen model that `cvgl extract` gets from a command line."""
    app, drafts = typer.Typer(), list[Draft]()

    @command(app, FEATURES)
    def show(draft: Draft) -> Answer:
        drafts.append(draft)
        return Answer(None, "")

    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return drafts[0].section("extract", ExtractConfig).backbone


def test_every_preset_is_listed_with_what_it_stands_for() -> None:
    listed = invoke("backbones", "--json").json["presets"]
    assert [entry["preset"] for entry in listed] == list(PRESETS)
    for entry in listed:
        assert BackboneConfig.model_validate(entry["backbone"]) == BackboneConfig(name=entry["preset"])
    completed = invoke("backbones")
    assert completed.code == 0
    assert all(name in completed.stdout for name in PRESETS)


def test_a_part_of_a_name_narrows_the_list() -> None:
    assert {backbone["preset"] for backbone in invoke("backbones", "value31", "--json").json["presets"]} == {
        "dinov2-g-value31-gem",
        "dinov2-g-value31-vlad",
    }
    assert {backbone["preset"] for backbone in invoke("backbones", "ResNet", "--json").json["presets"]} == {"resnet50-imagenet"}
    anyloc = invoke("backbones", "AnyLoc", "--json").json
    assert [backbone["preset"] for backbone in anyloc["presets"]] == ["dinov2-g-value31-vlad"]
    assert anyloc["released"] == []
    nothing = invoke("backbones", "nothing-like-it", "--json")
    assert nothing.code == 1
    assert nothing.json["error"]["kind"] == "ConfigError"


def test_a_vocabulary_that_nothing_would_look_at_is_wrong_usage() -> None:
    BackboneConfig(name="dinov2-g-value31-vlad", vocabulary="words.pt")
    for name in ("gist", "sample4geo", "dinov2-g-value31-gem"):
        with pytest.raises(ValidationError, match="goes with pooling vlad"):
            BackboneConfig(name=name, vocabulary="words.pt")


def test_released_models_are_listed_with_where_their_files_are() -> None:
    listed = invoke("backbones", "--json").json["released"]
    assert [entry["backbone"] for entry in listed] == list(RELEASED)
    assert all(entry["source"] == RELEASED[entry["backbone"]].source for entry in listed)
    completed = invoke("backbones", "sample4geo")
    assert "--checkpoint" in completed.stdout
    assert "dinov2" not in completed.stdout


def test_the_option_takes_a_preset_and_other_options_go_before_it() -> None:
    paper = backbone("--backbone", "dinov2-g-value31-gem")
    assert paper == BackboneConfig(name="dinov2-g-value31-gem")
    changed = backbone(
        *("--backbone", "dinov2-g-value31-gem", "--layer", "20", "--layer", "31", "--facet", "token", "--final-norm"),
        *("--preprocessing", "native", "--resize", "600", "--position-resampling", "timm-antialiased"),
    )
    assert (changed.name, changed.pooling) == (paper.name, paper.pooling)
    assert (changed.layers, changed.facet, changed.final_norm) == ((20, 31), Facet.TOKEN, True)
    assert (changed.preprocessing, changed.resize) == (Preprocess.NATIVE, 600)
    assert changed.position_resampling is PositionResampling.TIMM_ANTIALIASED


@pytest.mark.parametrize("name", PRESETS)
def test_the_options_of_a_preset_lead_back_to_it(name: str) -> None:
    config = BackboneConfig(name=name)
    options_given = {"extract": {"backbone": config.model_dump(mode="json", exclude_defaults=True)}}
    assert backbone(*as_options(FEATURES, options_given)) == config
