"""What is taken into the lake."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from cvgl.config.settings import Settings


def _dataset_name(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c in "_-.") for c in name) or name[0] in ".-":
        raise ValueError("a dataset name consists of letters, digits, '_', '-' and '.', and starts with none of '.', '-'")
    return name


DatasetName = Annotated[str, AfterValidator(_dataset_name), Field(max_length=64)]


class Layout(StrEnum):
    """How a source folder is laid out."""

    AUTO = "auto"
    UNIVERSITY1652 = "university1652"
    FOLDER = "folder"
    MANIFEST = "manifest"


class IngestConfig(Settings):
    """What to take in."""

    source: str = Field(description="folder of pictures, or a CSV/Parquet manifest")
    dataset: DatasetName = Field(description="name of the dataset in the lake")
    layout: Layout = Field(Layout.AUTO, description="how the source is laid out; auto looks at it")
    root: str | None = Field(
        None, description="folder that a manifest's paths start from and that none may leave; default: the manifest's own"
    )
    max_pixels: int = Field(
        178_956_970,
        ge=1,
        description="pictures with more pixels are refused undecoded (decompression bombs); twice Pillow's warning level",
    )
