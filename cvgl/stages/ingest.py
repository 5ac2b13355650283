"""Stage 1: from a source of images to the lake's tables of images, ground truth and quarantine.

Doing it twice adds nothing; killing it at any moment and doing it again ends in the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl import schemas
from cvgl.config import IngestConfig
from cvgl.datasets.detection import list_source
from cvgl.datasets.releases import release_difference
from cvgl.errors import DataError, LakeError
from cvgl.geo import Position
from cvgl.ingestion.camera.zones import camera_notes, with_neighbours_zones
from cvgl.ingestion.crs_notes import FrameRemarks, frame_remarks
from cvgl.ingestion.entries import Listing, Reason, Refusal
from cvgl.ingestion.ground_truth import add_truth, newest_truth, says_else, truth_rows
from cvgl.ingestion.merging import SourceImage, merge_entries
from cvgl.ingestion.scan_cache import Scan, ScanCache
from cvgl.ingestion.scanning import scan
from cvgl.ingestion.summaries import Remark, ViewSummary, skipped_remarks, source_folder, summarise, summary_lines
from cvgl.ingestion.swapped_views import SwapSuspicion, find_swapped_views
from cvgl.ingestion.tables import add_batch, images_ref, quarantine_of_source, read_images
from cvgl.lake import Lake, checked_name, parquet_files, sweep
from cvgl.lake.locks import exclusive
from cvgl.stages.map_positions import old_positions_that_serve
from cvgl.stages.sequences import order_notes
from cvgl.types import ArtifactRef, Progress, Subset, View, silent

logger = logging.getLogger(__name__)

_MOST_REASONS = 3  # named in an error; the quarantine has them all


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What an ingestion did.

    Attributes:
        ref: the images of the dataset.
        skipped: nothing was written, everything was already there.
        new: images that the dataset did not hold.
        updated: images of which something else is said than before.
        known: images of the source that the dataset already held just so.
        quarantined: what this source has in quarantine now.
        total: images that the dataset holds now.
        notes: what a person should know about how the source was understood.
        summaries: a line a view: how many images of the source have a position, from what, in which CRS.
        passed_over: what of the source was not looked at, by kind.
        warnings: in what the source differs from the published data set in whose layout it is, what looks wrong with it, and
            that the map which serves holds older positions.
    """

    ref: ArtifactRef
    skipped: bool
    new: int
    updated: int
    known: int
    quarantined: int
    total: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    summaries: tuple[ViewSummary, ...] = ()
    passed_over: tuple[Remark, ...] = ()


def ingest(
    config: IngestConfig,
    lake: Lake,
    progress: Progress = silent,
    admit: Callable[[Path], bool] | None = None,
    before_writing: Callable[[Mapping[Path, Scan]], None] | None = None,
) -> IngestOutcome:
    """Takes in a source.

    Args:
        config: what, and under which name.
        progress: told about every few hundred files.
        admit: which files count, of those that the source lists; default: all. The others are left for another time.
        before_writing: told what was read before anything of it is written; what it raises leaves the dataset as it was.

    Raises:
        DataError: the source is missing, laid out in no known way, or holds nothing that can be used.
        ExchangedViews: tiles of a map are to be placed on images without positions; nothing was taken in.
        LakeError: the lake is damaged.
    """
    listing = list_source(config)
    if admit is not None:
        listing.entries = [entry for entry in listing.entries if admit(entry.path)]
    with _alone(lake, config.dataset):
        _sweep(lake, config.dataset)
        scans = scan([e.path for e in listing.entries], ScanCache(lake.scans(config.dataset)), config.max_pixels, progress)
        if before_writing is not None:
            before_writing(scans)
        scans = with_neighbours_zones(listing.entries, scans)
        listing.notes += camera_notes(listing.entries, scans)
        listing.notes += _blank_note(scans)
        current = _current_images(lake, config.dataset)
        doubt = find_swapped_views(listing.entries, scans, has_map=any(map(_is_on_a_map, current.values())))
        if doubt is not None:
            doubt.raise_if_certain(listing.source)
        truth = newest_truth(lake, config.dataset)
        elsewhere = _from_elsewhere(current, truth, {str(entry.path) for entry in listing.entries})
        images, refused = merge_entries(listing.entries, scans, elsewhere)
        refusals = {refusal.uri: refusal for refusal in (*refused, *listing.refusals)}
        wrote = _write_quarantine(lake, config.dataset, listing, refusals)
        _check_usable(listing, images, current, refusals, lake.quarantine(config.dataset))
        rows = _changed_images(images.values(), current)
        source, layout = str(listing.source), listing.layout
        wrote |= add_truth(lake, config.dataset, truth_rows(images.values(), truth), layout, source)
        # Images come last: what they name has its ground truth already, whenever the process dies.
        wrote |= add_batch(lake.images(config.dataset), rows, schemas.IMAGES, layout, source) is not None
    listing.notes += order_notes(list({**current, **{row["image_id"]: row for row in rows}}.values()))
    remarks = _remarks(images.values())
    new = sum(row["image_id"] not in current for row in rows)
    outcome = IngestOutcome(
        ref=images_ref(lake, config.dataset),
        skipped=not wrote,
        new=new,
        updated=len(rows) - new,
        known=len(images) - len(rows),
        quarantined=len(refusals),
        total=len(_current_images(lake, config.dataset)),
        notes=tuple(dict.fromkeys([*listing.notes, *remarks.notes])),
        warnings=(*_warnings(listing, config, doubt), *remarks.warnings, *_of_the_map(lake, config.dataset)),
        summaries=summarise(images.values(), source_folder(listing)),
        passed_over=skipped_remarks(listing, scans),
    )
    _tell(outcome, config.dataset)
    return outcome


@contextmanager
def _alone(lake: Lake, dataset: str) -> Iterator[None]:
    """Waits until no other process ingests into the dataset. The lock dies with its process."""
    path = lake.root / "cache" / "locks" / checked_name(f"ingest-{dataset}", "dataset", suffix=".lock")
    with exclusive(path):
        yield


def _sweep(lake: Lake, dataset: str) -> None:
    for folder in (lake.images(dataset), lake.ground_truth(dataset), lake.quarantine(dataset), lake.scans(dataset)):
        sweep(folder)


def _current_images(lake: Lake, dataset: str) -> dict[str, Mapping[str, Any]]:
    if not parquet_files(lake.images(dataset)):
        return {}
    return {row["image_id"]: row for row in read_images(lake, dataset).to_pylist()}


def _blank_note(scans: Mapping[Path, Scan]) -> list[str]:
    """Images of one colour are sound, and may be a map's water, but no place can be told by them."""
    blank = [path for path, scan in scans.items() if scan.blank]
    return [f"{len(blank)} images show one colour only, such as {blank[0]}"] if blank else []


def _from_elsewhere(
    current: Mapping[str, Mapping[str, Any]], truth: Mapping[str, Mapping[str, Any]], own: set[str]
) -> dict[str, SourceImage]:
    """Images that the dataset has under names outside of this source, where the file is still there."""
    others = (row for row in current.values() if row["uri"] not in own and Path(row["uri"]).is_file())
    return {row["image_id"]: _image(row, truth.get(row["image_id"], {})) for row in others}


def _is_on_a_map(row: Mapping[str, Any]) -> bool:
    return row["view"] == View.SATELLITE and (row["latitude"] is not None or row["x"] is not None)


def _image(row: Mapping[str, Any], truth: Mapping[str, Any]) -> SourceImage:
    view = View(row["view"])
    stated = row if view.is_reference else truth
    position = Position(**{name: stated.get(name) for name in Position.model_fields})
    return SourceImage(
        image_id=row["image_id"],
        uri=row["uri"],
        view=view,
        subsets=tuple(Subset(name) for name in row["subsets"]),
        width=row["width"],
        height=row["height"],
        location_id=truth.get("location_id"),
        position=None if position == Position() else position,
        captured_at=row["captured_at"],
        sequence=row["sequence"],
    )


def _changed_images(images: Iterable[SourceImage], current: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for image in sorted(images, key=lambda image: image.image_id):
        # Where a query was taken is what has to be found: it is ground truth and not in this table.
        position = image.position if image.view.is_reference else None
        row = {
            "image_id": image.image_id,
            "uri": image.uri,
            "view": str(image.view),
            "subsets": [str(subset) for subset in image.subsets],
            "width": image.width,
            "height": image.height,
            **(position or Position()).model_dump(),
            "captured_at": image.captured_at,
            "sequence": image.sequence,
        }
        stored = current.get(image.image_id)
        if stored is None or says_else(row, stored):
            rows.append(row)
    return rows


def _write_quarantine(lake: Lake, dataset: str, listing: Listing, refusals: Mapping[str, Refusal]) -> bool:
    """Adds what is newly refused, and takes back what is refused no longer."""
    source = str(listing.source)
    before = quarantine_of_source(lake, dataset, source)
    rows = [{"uri": uri, "reason": str(r.reason), "detail": r.detail} for uri, r in refusals.items()]
    rows = [row for row in rows if row != before.get(row["uri"])]
    mended = {"reason": str(Reason.RESOLVED), "detail": "no longer refused"}
    rows += [{"uri": uri, **mended} for uri, row in before.items() if uri not in refusals and row["reason"] != Reason.RESOLVED]
    rows.sort(key=lambda row: row["uri"])
    return add_batch(lake.quarantine(dataset), rows, schemas.QUARANTINE, listing.layout, source) is not None


def _check_usable(
    listing: Listing,
    images: Mapping[str, SourceImage],
    current: Mapping[str, Mapping[str, Any]],
    refusals: Mapping[str, Refusal],
    quarantine: Path,
) -> None:
    if not images and not refusals:
        raise DataError("the source holds no images", where=listing.source, fix="put images into it (docs/how-to/ingestion.md)")
    if not images:
        raise DataError(
            f"none of the {len(refusals)} names in the source can be used: {_most_frequent(refusals.values())}",
            where=listing.source,
            fix=f"mend these; each is listed with its reason in {quarantine}",
        )
    views = {image.view for image in images.values()} | {View(row["view"]) for row in current.values()}
    if View.SATELLITE in views:
        return
    lost = [refusal for refusal in refusals.values() if refusal.view is View.SATELLITE]
    if lost:
        raise DataError(
            f"none of the {len(lost)} satellite images can be used: {_most_frequent(lost)}",
            where=listing.source,
            fix=f"mend these; each is listed with its reason in {quarantine}",
        )
    also = f"; {len(refusals)} names were refused: {_most_frequent(refusals.values())}" if refusals else ""
    raise DataError(
        f"the source holds no satellite images, only {', '.join(sorted(views))}{also}",
        where=listing.source,
        fix="add the overhead imagery that the others are matched to"
        + (f", or mend what was refused; each is listed with its reason in {quarantine}" if refusals else ""),
    )


def _most_frequent(refusals: Iterable[Refusal]) -> str:
    """Reasons in a sentence, the most frequent first, each with the detail of its first case."""
    groups: dict[Reason, list[Refusal]] = {}
    for refusal in refusals:
        groups.setdefault(refusal.reason, []).append(refusal)
    often = sorted(groups.items(), key=lambda group: -len(group[1]))
    sentences = [f"{len(group)} {reason} ({group[0].detail})" for reason, group in often[:_MOST_REASONS]]
    return ", ".join(sentences) + (f" and {len(often) - _MOST_REASONS} other reasons" if len(often) > _MOST_REASONS else "")


def _remarks(images: Iterable[SourceImage]) -> FrameRemarks:
    images = list(images)
    references, queries = ([each.position for each in images if each.view.is_reference is side] for side in (True, False))
    return frame_remarks(references, queries)


def _warnings(listing: Listing, config: IngestConfig, doubt: SwapSuspicion | None) -> tuple[str, ...]:
    """What looks wrong with the source, and where figures from it would be no published ones.

    The latter is not said where images of one height were asked for.
    """
    difference = release_difference(listing) if config.height is None else None
    warnings = (difference, None if doubt is None else doubt.reason, *listing.warnings)
    return tuple(dict.fromkeys(warning for warning in warnings if warning is not None))


def _of_the_map(lake: Lake, dataset: str) -> tuple[str, ...]:
    """That the map which serves does not hold what the table says now."""
    try:
        old = old_positions_that_serve(lake, dataset)
    except LakeError:  # what serves is damaged: told wherever it is used
        return ()
    brought = (
        f"cvgl run --dataset {dataset} brings them in and measures anew, {old.command} brings them in alone" if old else ""
    )
    return () if old is None else (f"{old}; images are placed by the old ones until then: {brought}",)


def _tell(outcome: IngestOutcome, dataset: str) -> None:
    for note in outcome.notes:
        logger.info(note)
    for warning in outcome.warnings:
        logger.warning(warning)
    for line in summary_lines(outcome.summaries, outcome.passed_over):
        logger.info(line)
    logger.info(
        "dataset %s: %d new, %d updated, %d known, %d in quarantine, %d in all",
        dataset,
        outcome.new,
        outcome.updated,
        outcome.known,
        outcome.quarantined,
        outcome.total,
    )
