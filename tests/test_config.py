"""Settings refuse what has no meaning, and their digest is their identity."""

import pytest
from pydantic import ValidationError

from cvgl.config import AdaptConfig, AlignmentConfig, BackboneConfig, IngestConfig, RunConfig
from cvgl.types import Direction, View


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        AdaptConfig.model_validate({"learning_rat": 0.1})


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (AdaptConfig, {"temperature": 0}),
        (AdaptConfig, {"iterations": -1}),
        (AdaptConfig, {"recipe": "unknown"}),
        (AlignmentConfig, {"query_crop": 0}),
        (AlignmentConfig, {"reference_rotations": 3}),
        (BackboneConfig, {"gem_p": 0}),
        (IngestConfig, {"source": "x", "dataset": "../up"}),
        (IngestConfig, {"source": "x", "dataset": ""}),
        (IngestConfig, {"source": "x", "dataset": ".hidden"}),
    ],
)
def test_values_out_of_bounds_are_refused(model, values) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AdaptConfig().seed = 1


def test_digest_follows_every_field_and_nothing_else() -> None:
    assert AdaptConfig().digest() == AdaptConfig().digest()
    assert AdaptConfig().digest() != AdaptConfig(seed=1).digest()


def test_a_run_survives_json() -> None:
    run = RunConfig(ingest=IngestConfig(source="here", dataset="town"), adapt=AdaptConfig(seed=3))
    again = RunConfig.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.adapt.seed == 3


def test_directions_are_written_as_the_field_writes_them() -> None:
    assert str(Direction(View.DRONE, View.SATELLITE)) == "drone_to_satellite"
