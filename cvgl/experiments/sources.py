"""Which data sets a folder holds, and how each of them is taken in and judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from cvgl.config import DatasetName, IngestConfig, Layout, Settings
from cvgl.datasets.detection import detect
from cvgl.datasets.flights import write_manifest
from cvgl.errors import DataError
from cvgl.experiments.configuration import Kind
from cvgl.ingestion.records import read_records
from cvgl.lake import Lake
from cvgl.retrieval import protocols

__all__ = ["Kind", "SourceConfig", "dataset_name", "find_sources", "ingestion", "whole"]

FLIGHT_TABLES = ("uav.csv", "tiles.csv", "truth.csv")


_KINDS = {
    Layout.UNIVERSITY1652: Kind.UNIVERSITY,
    Layout.UNIVERSITY160K: Kind.UNIVERSITY160K,
    Layout.CVUSA: Kind.CVUSA,
    Layout.CVACT: Kind.CVACT,
    Layout.SUES200: Kind.SUES200,
    Layout.DENSEUAV: Kind.DENSEUAV,
}
_PROTOCOLS = {
    Kind.UNIVERSITY: "university1652-951",
    Kind.UNIVERSITY160K: "university160k-local",
    Kind.CVUSA: "cvusa",
    Kind.CVACT: "cvact-val",
    Kind.FLIGHTS: "flights",
}


class SourceConfig(Settings):
    """One set of images to learn from and to be asked about."""

    name: str = Field(
        description="told by the folder, and by the date of the map where there are several; targets are set for it"
    )
    dataset: DatasetName = Field(description="what it is called in the lake")
    folder: str = Field(description="where it lies")
    kind: Kind = Field(Kind.OTHER, description="how it is laid out")
    date: str | None = Field(None, description="of the map, for flights")
    drawn: bool = Field(
        False, description="a built-in world, drawn into the folder when it is not there yet (cvgl.experiments.worlds)"
    )

    @property
    def protocol(self) -> str:
        """What it is judged by, where an experiment does not say."""
        return _PROTOCOLS.get(self.kind, protocols.GENERIC)


def whole(folder: Path, dataset: str | None = None) -> SourceConfig:
    """A folder as one source, whatever is in it; for experiments that say by which protocol they are judged."""
    return SourceConfig(name=folder.name, dataset=dataset or dataset_name(folder.name), folder=str(folder))


def find_sources(data_root: Path, dataset: str | None = None) -> tuple[SourceConfig, ...]:
    """Every data set in a folder: the folder itself, or else those of the folders in it that are sets, in order of names.

    Args:
        data_root: resolved.
        dataset: what the set is called in the lake, instead of its folder's name, where the folder itself is the set.

    Raises:
        DataError: a table of a flights set is damaged or has no dates, or one name was given for several sets.
    """
    sources = list(_sources(data_root, dataset))
    if sources:
        return tuple(sources)
    sources = [source for folder in sorted(data_root.iterdir()) if folder.is_dir() for source in _sources(folder)]
    if not sources:
        return (whole(data_root, dataset),)
    if dataset is not None:
        raise DataError(
            f"the name '{dataset}' cannot be that of {len(sources)} data sets: {', '.join(each.name for each in sources)}",
            where=data_root,
            fix="leave --dataset out, or give one of them as --data-root",
        )
    return tuple(sources)


def _sources(folder: Path, dataset: str | None = None) -> Iterator[SourceConfig]:
    """The sources that a folder is, without a look into others; a map of each date makes one of a flights set."""
    name = dataset or dataset_name(folder.name)
    kind = _KINDS.get(layout) if (layout := _layout(folder)) is not None else None
    if kind is not None:
        yield SourceConfig(name=folder.name, dataset=name, folder=str(folder), kind=kind)
    if all((folder / table).is_file() for table in FLIGHT_TABLES):
        for date in _dates(folder / "tiles.csv"):
            yield SourceConfig(
                name=f"{folder.name}-{date}",
                dataset=dataset_name(f"{name}-{date}"),
                folder=str(folder),
                kind=Kind.FLIGHTS,
                date=date,
            )


def _layout(folder: Path) -> Layout | None:
    try:
        return detect(folder)
    except DataError:
        return None  # laid out in no known way: not a set, and the folders in it may be


def _dates(tiles: Path) -> list[str]:
    columns, records = read_records(tiles)
    dates = (
        {str(record.cells["date"]) for record in records if record.cells["date"] is not None} if "date" in columns else set()
    )
    if not dates:
        raise DataError("the table of tiles names no date", where=tiles, fix="fetch the set again")
    return sorted(dates)


def dataset_name(text: str) -> str:
    """A name that a lake accepts, as near to a folder's as can be."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in text).lstrip(".-")
    return name[:64] or "pictures"


def ingestion(source: SourceConfig, lake: Lake) -> IngestConfig:
    """How a source is taken in. For flights that is a manifest, which is written into the lake.

    Raises:
        DataError: a table is missing or lacks a column, or a flight is missing.
    """
    if source.kind is not Kind.FLIGHTS or source.date is None:
        layout = next((layout for layout, kind in _KINDS.items() if kind is source.kind), Layout.AUTO)
        return IngestConfig(source=source.folder, dataset=source.dataset, layout=layout)
    path = lake.root / "reproductions" / "manifests" / f"{source.dataset}.csv"
    manifest = write_manifest(Path(source.folder), source.date, path)
    return IngestConfig(source=str(manifest), dataset=source.dataset, layout=Layout.MANIFEST, root=source.folder)
