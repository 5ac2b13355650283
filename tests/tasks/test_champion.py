"""A champion of another frozen model is asked the same as its challenger."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.adaptation import read_record
from cvgl.config import AdaptConfig, BackboneConfig, ExtractConfig, IngestConfig
from cvgl.errors import CvglError
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import images_ref
from cvgl.lake import Lake, read_versioned, write_versioned
from cvgl.stages.adapt import adapt
from cvgl.stages.extraction.stage import extract
from cvgl.stages.held_out import held_out
from cvgl.stages.ingest import ingest
from tasks.champion import describe_for
from tests.arrival.sources import DATASET, town

CONFIG = AdaptConfig(recipe="standardised")


def learned(lake: Lake, source: Path, size: int) -> str:
    """Takes in what is there, and learns from it with a frozen model of its own."""
    ingest(IngestConfig(source=str(source), dataset=DATASET), lake)
    described = extract(images_ref(lake, DATASET), ExtractConfig(backbone=BackboneConfig(name="gist", image_size=size)), lake)
    return adapt(described.ref, CONFIG, lake).run


@pytest.mark.usefixtures("prefect_api")
def test_what_the_champion_lacks_is_described_with_its_own_settings(lake: Lake, tmp_path: Path) -> None:
    champion = learned(lake, town(tmp_path / "drop", range(1, 7)), 64)
    challenger = learned(lake, town(tmp_path / "drop", range(7, 10)), 96)
    records = [read_record(lake.adapter(run)) for run in (challenger, champion)]
    stores = [FeatureStore(lake.features(str(record.feature_set_id), DATASET)) for record in records]
    assert [len(store.ids()) for store in stores] == [36, 24]
    before = {name: stores[1].read([name]).tobytes() for name in stores[1].ids()}

    describe_for(champion, challenger, lake)

    features = FeatureStore(stores[1].folder)
    assert sorted(features.ids()) == sorted(stores[0].ids())
    assert all(features.read([name]).tobytes() == row for name, row in before.items())
    assert len(held_out(lake, DATASET, *records).references) == 9
    # Nothing is to be done twice, nor for a champion of the same frozen model.
    parts = sorted(stores[1].folder.iterdir())
    describe_for(champion, challenger, lake)
    describe_for(challenger, challenger, lake)
    assert sorted(stores[1].folder.iterdir()) == parts


@pytest.mark.usefixtures("prefect_api")
def test_a_frozen_model_that_cannot_be_loaded_any_more_is_an_error(lake: Lake, tmp_path: Path) -> None:
    champion = learned(lake, town(tmp_path / "drop", range(1, 4)), 64)
    challenger = learned(lake, town(tmp_path / "drop", range(4, 6)), 96)
    path = lake.features(str(read_record(lake.adapter(champion)).feature_set_id), DATASET).parent / "model.json"
    made = read_versioned(path, "model")
    gone = {"name": "vit_tiny_patch16_224", "checkpoint": str(tmp_path / "gone.safetensors")}
    write_versioned(path, "model", {**made, "extract": {"backbone": gone}})
    with pytest.raises(CvglError, match=r"gone\.safetensors"):
        describe_for(champion, challenger, lake)
