"""Whether the positions of a source can be what they should be: tiles that have none, or all have one, or lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cvgl.config import Layout
from cvgl.errors import DataError
from cvgl.geo import GEOGRAPHIC, ground_distance_m
from cvgl.ingestion.crs_notes import frame_remarks
from cvgl.ingestion.entries import Entry
from cvgl.ingestion.merging import SourceImage
from cvgl.ingestion.summaries import ViewSummary

_OWN_LAYOUTS = (Layout.FOLDER, Layout.MANIFEST)
_APART_M = 1.0  # tiles closer together than this, all of them, are no map
_DOCS = "docs/how-to/ingestion.md says where positions are looked for"


@dataclass(frozen=True, slots=True)
class PositionProblem:
    """Something about positions that is wrong, or may be.

    Attributes:
        text: one sentence.
        names: of the images that it is about.
        fix: what to do.
        certain: whether nothing good can come of the source as it is.
    """

    text: str
    names: tuple[str, ...]
    fix: str
    certain: bool = False


def find_position_problems(
    layout: Layout, entries: Sequence[Entry], images: Sequence[SourceImage], summaries: Sequence[ViewSummary]
) -> Iterator[PositionProblem]:
    """Goes through what can be wrong with the positions of a source.

    Args:
        layout: published data sets are as they are; of one's own images more can be asked.
        entries: all of the source.
        images: those that were opened.
        summaries: of these.
    """
    is_own = layout in _OWN_LAYOUTS
    tiles = [image for image in images if image.view.is_reference]
    yield from _unplaced(is_own, entries, tiles)
    yield from _remarked(summaries)
    frames = _by_frame(tiles)
    if len(frames) == 1:
        [(frame, (names, positions))] = frames.items()
        yield from _not_spread(frame, names, positions, certain=is_own)
    others = [image.position for image in images if not image.view.is_reference]
    for words in frame_remarks([tile.position for tile in tiles], others).warnings:
        yield PositionProblem(
            words, (), "check the CRS (its zone, north or south), the order of latitude and longitude, and their signs"
        )


def _unplaced(is_own: bool, entries: Sequence[Entry], tiles: Sequence[SourceImage]) -> Iterator[PositionProblem]:
    without = [tile.uri for tile in tiles if tile.position is None]
    if not without:
        return
    references = [entry for entry in entries if entry.view.is_reference]
    fix = f"give them positions: a table, world files with a .prj or .aux.xml, or GeoTIFFs; {_DOCS}"
    if len(without) < len(tiles) or any(map(_is_placed, references)):
        if is_own:
            text = f"{len(without)} of {len(tiles)} satellite images have no position: an answer that names them has no place"
            yield PositionProblem(text, tuple(without), fix)
        return
    text = (
        f"none of the {len(tiles)} satellite images has a position: an answer names an image and no place, and nothing is"
        " measured in metres"
    )
    yield PositionProblem(text, tuple(without), fix)


def _is_placed(entry: Entry) -> bool:
    beside = entry.georeference
    return bool(entry.position or entry.world_file or (beside is not None and beside.transform))


def _remarked(summaries: Sequence[ViewSummary]) -> Iterator[PositionProblem]:
    for summary in summaries:
        for remark in summary.remarks:
            fix = f"mend the files, or give positions in a table; {_DOCS}"
            names = (*remark.examples, *[""] * (remark.count - len(remark.examples)))
            yield PositionProblem(f"{summary.view}: {remark.count} {remark.text}", names, fix)


def _by_frame(images: Sequence[SourceImage]) -> dict[str, tuple[list[str], np.ndarray]]:
    frames: dict[str, list[tuple[str, float, float]]] = {}
    for image in images:
        position = image.position
        if position is None:
            continue
        if position.x is not None and position.y is not None and position.crs is not None:
            frames.setdefault(position.crs, []).append((image.uri, position.x, position.y))
        elif position.latitude is not None and position.longitude is not None:
            frames.setdefault(GEOGRAPHIC, []).append((image.uri, position.latitude, position.longitude))
    return {frame: ([name for name, *_ in rows], np.array([pair for _, *pair in rows])) for frame, rows in frames.items()}


def _not_spread(frame: str, names: Sequence[str], positions: np.ndarray, *, certain: bool) -> Iterator[PositionProblem]:
    if len(positions) < 2:
        return
    try:
        widest = float(ground_distance_m(frame, positions.min(axis=0), positions.max(axis=0)))
    except DataError:
        return  # the CRS is spoken of elsewhere
    fix = "check the positions: a map's tiles lie side by side"
    if (positions == positions[0]).all():
        yield PositionProblem(
            f"all {len(positions)} satellite images have one and the same position", tuple(names), fix, certain
        )
    elif widest < _APART_M:
        yield PositionProblem(
            f"the {len(positions)} satellite images all lie within {widest:.2g} m", tuple(names), fix, certain
        )
