"""What is taken into the lake."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from cvgl.config.settings import Settings, StoredMasked


def _dataset_name(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c in "_-.") for c in name) or name[0] in ".-":
        raise ValueError("a dataset name consists of letters, digits, '_', '-' and '.', and starts with none of '.', '-'")
    return name


DatasetName = Annotated[str, AfterValidator(_dataset_name), Field(max_length=64)]


class Layout(StrEnum):
    """How a source folder is laid out. Each name but `auto` also says how the images are judged."""

    AUTO = "auto"
    UNIVERSITY1652 = "university1652"
    UNIVERSITY160K = "university160k"  # University-1652's labelled test, with the distractors of University-160k
    UNIVERSITY160K_OFFICIAL = "university160k-official"  # the challenge: every name is masked
    CVUSA = "cvusa"
    CVACT = "cvact"  # the training and the validation pairs
    CVACT_TEST = "cvact-test"  # the training pairs, and the test pairs, of which the validation pairs are a part
    SUES200 = "sues200"
    DENSEUAV = "denseuav"
    FOLDER = "folder"
    MANIFEST = "manifest"


class IngestConfig(Settings):
    """What to take in."""

    source: StoredMasked = Field(description="folder of images, or a CSV/Parquet manifest")
    dataset: DatasetName = Field(description="name of the dataset in the lake")
    layout: Layout = Field(Layout.AUTO, description="how the source is laid out; auto looks at it")
    root: str | None = Field(
        None, description="folder that a manifest's paths start from and that none may leave; default: the manifest's own"
    )
    height: int | None = Field(
        None, ge=1, description="SUES-200: only the drone images taken at so many metres, as its published figures are given"
    )
    max_pixels: int = Field(
        178_956_970,
        ge=1,
        description="images with more pixels are refused undecoded (decompression bombs); twice Pillow's warning level",
    )
