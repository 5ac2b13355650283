"""The table of published data sets. A new one is a module with its description, a name in `Layout`, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from cvgl.config import Layout
from cvgl.datasets import cvact, cvusa, denseuav, sues200, university160k, university1652
from cvgl.datasets.dataset import PublishedDataset

_DATASETS = (
    # In the order in which a folder is compared to them: the more specific first.
    cvusa.DATASET,
    cvact.DATASET,
    cvact.TEST_DATASET,
    sues200.DATASET,
    denseuav.DATASET,
    university160k.DATASET,
    university160k.OFFICIAL_DATASET,
    university1652.DATASET,
)
DATASETS: Mapping[Layout, PublishedDataset] = {dataset.layout: dataset for dataset in _DATASETS}


def default_protocol(layout: str | None) -> str | None:
    """The name of the protocol that a layout is evaluated by; None for people's own images and an unknown layout."""
    return next((dataset.protocol for dataset in _DATASETS if dataset.layout == layout), None)
