"""A version of a map: references, adapter, statistics and fingerprints that belong together, in one folder.

    maps/dataset=<name>/<version>/manifest.json        written last: a folder without one is unfinished
                                  references.parquet   ids, files, positions, adapted descriptors
                                  adapter.safetensors, adapter.json
    maps/dataset=<name>/current.json                   which version serves, and which ones have

The version is a hash of the content, so building one twice is harmless, and nothing in a version ever changes. A reader
reads `current.json` once, and then one folder: it sees the old map or the new one, never some of each.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from cvgl import schemas
from cvgl.config import Settings
from cvgl.errors import DamagedError, LakeError, NewerFormatError, UnreadableError
from cvgl.geo import Position
from cvgl.hashing import digest_json, sha256_file
from cvgl.lake import (
    read_bytes,
    read_parquet,
    read_versioned,
    set_aside,
    sync_folder,
    unreadable,
    write_bytes,
    write_parquet,
    write_versioned,
)
from cvgl.localization.placing import Reference, ReferenceIndex
from cvgl.types import View

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation
    from cvgl.types import Float32Array

MANIFEST_FILE, REFERENCES_FILE = "manifest.json", "references.parquet"
_BUILDING = ".building"
ADAPTER_FILES = ("adapter.safetensors", "adapter.json")
_CONTENT = (REFERENCES_FILE, *ADAPTER_FILES)  # what a version consists of besides its manifest: these files and no others
_FIX = "promote the run again (cvgl promote RUN), which builds its map anew"


class MapManifest(Settings):
    """What a version of a map consists of; its hash is the version's name."""

    format: Literal[1] = 1
    dataset: str
    run: str = Field(description="whose adapter it is")
    features: str = Field(description="fingerprint of the frozen model and its settings")
    query_view: View
    dimension: int = Field(ge=1, description="d of the adapted descriptors")
    n_references: int = Field(ge=1)
    extract: dict[str, Any] = Field(description="settings that an image is described with")
    identity: dict[str, Any] = Field(description="of the frozen model; an image is only described by the same one")
    files: dict[str, str] = Field(description="SHA-256 of every other file of the folder")

    @property
    def version(self) -> str:
        """Name of the version: a digest of its content."""
        return digest_json(self.model_dump(mode="json"))[:12]


class Serving(Settings):
    """One entry of a map's history: which version served, and as what it is known to the registry."""

    map: str = Field(description="version of the map")
    run: str = Field(description="whose adapter it holds")
    features: str = Field(description="fingerprint of the frozen model")
    model: str = Field("", description="registered model")
    version: str = Field("", description="version of the registered model")


class CurrentMap(Settings):
    """The content of current.json."""

    serving: Serving
    before: tuple[Serving, ...] = Field((), description="what served earlier, oldest first")

    def followed_by(self, serving: Serving) -> CurrentMap:
        """The same, with something else serving."""
        return CurrentMap(serving=serving, before=(*self.before, self.serving))


def read_current(path: Path) -> CurrentMap | None:
    """What serves; None where nothing does.

    Raises:
        LakeError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return CurrentMap.model_validate(read_versioned(path, "current_map"))
    except DamagedError as error:
        raise DamagedError(f"what serves cannot be told: {error.what}", where=path, fix=_FIX) from error
    except ValidationError as error:
        raise LakeError(f"what serves cannot be told: {error.errors()[0]['msg']}", where=path, fix=_FIX) from error


@dataclass(frozen=True, slots=True)
class MapBundle:
    """A version of a map, read whole.

    Attributes:
        manifest: what it consists of.
        adaptation: what descriptors of images go through.
        index: the references, adapted.
    """

    manifest: MapManifest
    adaptation: Adaptation
    index: ReferenceIndex


def write_bundle(
    folder: Path, adapter: Path, references: Sequence[Reference], descriptors: Float32Array, facts: dict[str, Any]
) -> MapManifest:
    """Writes a version below a folder, unless it is there. May be killed and started again.

    Args:
        folder: of the map; the version's own folder is made below.
        adapter: folder of the run whose adapter it is.
        references: of the map.
        descriptors: float32 (N, d), adapted, unit rows.
        facts: `dataset`, `run`, `features`, `query_view`, `extract` and `identity` of the manifest.

    One process at a time builds versions of a map.

    Raises:
        LakeError: the adapter is missing.
    """
    import pyarrow as pa

    building = folder / _BUILDING
    shutil.rmtree(building, ignore_errors=True)  # of a process that was killed; there is one builder at a time
    positions = [reference.position.model_dump() for reference in references]
    rows = np.ascontiguousarray(descriptors, np.float32)
    columns = {
        "image_id": pa.array([reference.image_id for reference in references]),
        "uri": pa.array([reference.uri for reference in references]),
        **{name: pa.array([at[name] for at in positions]) for name in Position.model_fields},
        "descriptor": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]),
    }
    schema = schemas.map_references(rows.shape[1])
    table = pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    write_parquet(building / REFERENCES_FILE, table, kind="map_references")
    for name in ADAPTER_FILES:
        if not (adapter / name).is_file():
            raise LakeError("an adapter is missing", where=adapter / name, fix="adapt again (cvgl adapt)")
        write_bytes(building / name, read_bytes(adapter / name))
    files = {name: sha256_file(building / name) for name in _CONTENT}
    manifest = MapManifest(**facts, dimension=rows.shape[1], n_references=len(references), files=files)
    write_versioned(building / MANIFEST_FILE, "map_manifest", manifest.model_dump(mode="json"))
    _move(building, folder / manifest.version)
    return manifest


def _move(building: Path, version: Path) -> None:
    """Into place in one step. What is there under that name has the same content, or is damaged and is set aside."""
    if version.exists():
        if not problems(version):
            shutil.rmtree(building)
            return
        set_aside(version)
    building.replace(version)
    sync_folder(version.parent)


def read_manifest(version: Path) -> MapManifest:
    """Reads what a version consists of.

    Raises:
        LakeError: there is none, it cannot be read, or it is another version's.
    """
    path = version / MANIFEST_FILE
    try:
        manifest = MapManifest.model_validate(read_versioned(path, "map_manifest"))
    except ValidationError as error:
        raise LakeError(f"the manifest of a map is not valid: {error.errors()[0]['msg']}", where=path, fix=_FIX) from error
    if manifest.version != version.name:
        raise LakeError(f"the manifest of a map is that of version {manifest.version}", where=path, fix=_FIX)
    return manifest


def problems(version: Path) -> list[str]:
    """What is wrong with a version, a sentence each; nothing where it is whole.

    Whole is: the manifest lists the files that a map consists of and no others, they are there with those hashes, they are
    files and no links, and nothing else lies in the folder (names that begin with a dot are not looked at).

    Raises:
        UnreadableError: the system does not let it be read, which says nothing about what is in it.
        NewerFormatError: it is of a newer version of cvgl.
    """
    try:
        manifest = read_manifest(version)
    except (UnreadableError, NewerFormatError):
        raise
    except LakeError as error:
        return [error.what]
    faults = [f"the manifest does not list {name}" for name in _CONTENT if name not in manifest.files]
    # Names are compared, and never followed: one that leads out of the folder is not one of ours.
    faults += [f"the manifest lists {name!r}, which is no part of a map" for name in manifest.files if name not in _CONTENT]
    expected = {MANIFEST_FILE, *_CONTENT}
    try:
        names = [path.name for path in version.iterdir()]
    except OSError as error:
        raise unreadable(error, version) from error
    strange = sorted(name for name in names if name not in expected and not name.startswith("."))
    faults += [f"{name!r} is no part of a map" for name in strange]
    faults += [f"{name} is a link" for name in sorted(expected) if (version / name).is_symlink()]
    for name in _CONTENT:
        if not (version / name).is_file():
            faults.append(f"{name} is missing")
        elif name in manifest.files and _digest(version / name) != manifest.files[name]:
            faults.append(f"{name} is damaged")
    return faults


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise unreadable(error, path) from error


def open_bundle(version: Path) -> MapBundle:
    """Reads a version, and makes sure that it is whole.

    Raises:
        LakeError: missing or damaged.
    """
    from cvgl.adaptation import Adaptation

    if wrong := problems(version):
        raise LakeError(f"a version of a map cannot be used: {'; '.join(wrong)}", where=version, fix=_FIX)
    manifest = read_manifest(version)
    table = read_parquet(version / REFERENCES_FILE, kind="map_references")
    at = table.select(list(Position.model_fields)).to_pylist()
    names = zip(table.column("image_id").to_pylist(), table.column("uri").to_pylist(), at, strict=True)
    references = tuple(Reference(image, uri, Position(**position)) for image, uri, position in names)
    flat = table.column("descriptor").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    adaptation = Adaptation.load(version)
    size, stated = (len(references), flat.size), (manifest.n_references, manifest.n_references * manifest.dimension)
    if size != stated or adaptation.record.run != manifest.run:
        raise LakeError("the manifest of a map does not fit its files", where=version / MANIFEST_FILE, fix=_FIX)
    rows = np.asarray(flat, np.float32).reshape(len(references), manifest.dimension)
    return MapBundle(manifest, adaptation, ReferenceIndex(references, rows))
