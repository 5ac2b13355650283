"""From a source and a layout, or none, to a listing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cvgl.config import IngestConfig, Layout
from cvgl.datasets import sues200
from cvgl.datasets.registry import DATASETS
from cvgl.errors import DataError
from cvgl.ingestion.entries import Listing
from cvgl.ingestion.folder import is_folder_of_views, list_folder
from cvgl.ingestion.manifest import NAMES, list_manifest, manifest_in, refused_manifest_in
from cvgl.ingestion.records import TABLE_SUFFIXES


def list_source(config: IngestConfig) -> Listing:
    """Lists the images of a source by its layout.

    Raises:
        DataError: the source is missing, or is not laid out as said or in any known way.
    """
    source = existing(config.source)
    layout = detect(source) if config.layout is Layout.AUTO else config.layout
    if config.height is not None and layout is not Layout.SUES200:
        raise DataError(f"a height has no meaning for the layout {layout}", where="height", fix="leave it out")
    if layout is Layout.MANIFEST:
        manifest = manifest_in(source) if source.is_dir() else source
        if manifest is None:
            problem = refused_manifest_in(source)
            if problem is not None:
                raise DataError(problem, where=source, fix="copy the manifest into the folder, or give its own path and --root")
            raise DataError(
                "the folder holds no manifest", where=source, fix=f"name it one of {', '.join(NAMES)}, or give its path"
            )
        return list_manifest(manifest, existing(config.root) if config.root else None)
    if config.root:
        raise DataError(f"a root has no meaning for the layout {layout}", where="root", fix="leave it out")
    if not source.is_dir():
        raise DataError(f"the layout {layout} is a folder's, and this is a file", where=source, fix="use the layout manifest")
    listing = list_folder(source) if layout is Layout.FOLDER else DATASETS[layout].read(source)
    return listing if config.height is None else sues200.at_height(listing, config.height)


def detect(source: Path) -> Layout:
    """How a source is laid out: a manifest goes before folders' names, for somebody wrote it on purpose.

    Raises:
        DataError: in no known way.
    """
    return recognise(source)[0]


def recognise(source: Path) -> tuple[Layout, str]:
    """How a source is laid out, and by what it was known.

    Raises:
        DataError: in no known way.
    """
    if source.is_file():
        if source.suffix.lower() in TABLE_SUFFIXES:
            return Layout.MANIFEST, "it is a table"
        raise DataError(
            f"a source is a folder or a manifest, and '{source.name}' is neither",
            where=source,
            fix="give the folder that holds it, or a CSV or Parquet manifest",
        )
    if not source.is_dir():
        raise DataError("the source is neither a folder nor a file", where=source, fix="give a folder or a manifest")
    manifest = manifest_in(source)
    if manifest:
        return Layout.MANIFEST, f"it holds {manifest.name}"
    layout, sign = _by_signs(source)
    if layout is None:
        raise _unrecognised(source)
    return layout, sign


def _by_signs(folder: Path) -> tuple[Layout, str] | tuple[None, str]:
    """The layout of a folder by what is in it, and the sign that it was recognised by."""
    for dataset in DATASETS.values():
        if dataset.recognises(folder):
            return dataset.layout, dataset.sign
    return (Layout.FOLDER, "it holds a folder named like a view") if is_folder_of_views(folder) else (None, "")


def _unrecognised(source: Path) -> DataError:
    problem = refused_manifest_in(source)
    if problem is not None:
        return DataError(problem, where=source, fix="copy the manifest into the folder, or give its own path and --root")
    below = sorted(path for path in source.iterdir() if path.is_dir())
    if not any(source.iterdir()):
        return DataError("the source is an empty folder", where=source, fix="put images into it, one folder for each view")
    inside = _first_recognised(below)
    if inside is not None:
        return DataError("the source is laid out in no known way, but a folder in it is", where=source, fix=f"give {inside}")
    return DataError(
        f"the source is laid out in no known way; its folders are: {', '.join(path.name for path in below) or 'none'}",
        where=source,
        fix="put each view's images into a folder named drone, ground or satellite, or write a manifest "
        "(docs/how-to/ingestion.md)",
    )


def _first_recognised(folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if manifest_in(folder) or _by_signs(folder)[0]), None)


def existing(location: str) -> Path:
    """The absolute path of a source.

    Raises:
        DataError: it is an address, or is not there.
    """
    if "://" in location:
        raise DataError(f"the source '{location}' is an address", where="source", fix="fetch it, and give the local folder")
    path = Path(location).expanduser().resolve()
    try:
        path.stat()
    except OSError as error:
        raise DataError(
            f"the source cannot be read: {error.strerror}", where=path, fix="check the path and its rights"
        ) from error
    return path
