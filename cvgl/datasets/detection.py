"""From a source and a layout, or none, to a listing."""

from __future__ import annotations

from pathlib import Path

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.entries import Listing
from cvgl.datasets.folder import is_folder_of_views, list_folder
from cvgl.datasets.manifest import NAMES, list_manifest, manifest_in
from cvgl.datasets.records import TABLE_SUFFIXES
from cvgl.datasets.university1652 import is_university1652, list_university1652
from cvgl.errors import DataError


def list_source(config: IngestConfig) -> Listing:
    """Lists the pictures of a source by its layout.

    Raises:
        DataError: the source is missing, or is not laid out as said or in any known way.
    """
    source = _existing(config.source)
    layout = detect(source) if config.layout is Layout.AUTO else config.layout
    if layout is Layout.MANIFEST:
        manifest = manifest_in(source) if source.is_dir() else source
        if manifest is None:
            raise DataError(
                "the folder holds no manifest", where=source, fix=f"name it one of {', '.join(NAMES)}, or give its path"
            )
        return list_manifest(manifest, _existing(config.root) if config.root else None)
    if config.root:
        raise DataError(f"a root has no meaning for the layout {layout}", where="root", fix="leave it out")
    if not source.is_dir():
        raise DataError(f"the layout {layout} is a folder's, and this is a file", where=source, fix="use the layout manifest")
    return list_university1652(source) if layout is Layout.UNIVERSITY1652 else list_folder(source)


def detect(source: Path) -> Layout:
    """How a source is laid out: a manifest goes before folders' names, for somebody wrote it on purpose.

    Raises:
        DataError: in no known way.
    """
    if source.is_file():
        if source.suffix.lower() in TABLE_SUFFIXES:
            return Layout.MANIFEST
        raise DataError(
            f"a source is a folder or a manifest, and '{source.name}' is neither",
            where=source,
            fix="give the folder that holds it, or a CSV or Parquet manifest",
        )
    if not source.is_dir():
        raise DataError("the source is neither a folder nor a file", where=source, fix="give a folder or a manifest")
    if manifest_in(source):
        return Layout.MANIFEST
    if is_university1652(source):
        return Layout.UNIVERSITY1652
    if is_folder_of_views(source):
        return Layout.FOLDER
    raise _unrecognised(source)


def _unrecognised(source: Path) -> DataError:
    below = sorted(path for path in source.iterdir() if path.is_dir())
    if not any(source.iterdir()):
        return DataError("the source is an empty folder", where=source, fix="put pictures into it, one folder for each view")
    for folder in below:
        if is_university1652(folder) or is_folder_of_views(folder) or manifest_in(folder):
            return DataError(
                "the source is laid out in no known way, but a folder in it is", where=source, fix=f"give {folder}"
            )
    return DataError(
        f"the source is laid out in no known way; its folders are: {', '.join(path.name for path in below) or 'none'}",
        where=source,
        fix="put each view's pictures into a folder named drone, ground or satellite, or write a manifest (docs/ingestion.md)",
    )


def _existing(location: str) -> Path:
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
