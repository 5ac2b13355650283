"""What a champion needs in order to be asked the same as a challenger."""

from __future__ import annotations

from cvgl.adaptation import read_record
from cvgl.arrival.extraction import recorded_extraction
from cvgl.ingestion.tables import images_ref
from cvgl.lake import Lake
from tasks.extract import extract


def describe_for(champion: str, challenger: str, lake: Lake) -> None:
    """Describes, with the champion's frozen model, the images that it lacks; nothing where both have the same one.

    Args:
        champion: run that serves.
        challenger: run that is to take its place.
        lake: where both are.

    Raises:
        CvglError: the champion's frozen model cannot be loaded any more, or its settings are damaged.
    """
    serving, coming = (read_record(lake.adapter(run)) for run in (champion, challenger))
    if serving.feature_set_id == coming.feature_set_id:
        return
    dataset = str(serving.dataset)
    settings = recorded_extraction(lake, dataset, str(serving.feature_set_id))
    if settings is not None:
        extract(images_ref(lake, dataset), settings, lake)
