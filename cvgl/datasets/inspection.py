"""Inspection of a copy of a data set before it is ingested: `cvgl doctor data`.

Nothing is written. What ingestion would refuse, what is published and is not there, and what cannot be read is named, with
what to do about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.consistency import MAX_EXAMPLES, Inconsistency, find_inconsistencies
from cvgl.datasets.cvact import LARGE, is_cvact
from cvgl.datasets.detection import existing, list_source, recognise
from cvgl.datasets.releases import Count, State, count_parts
from cvgl.datasets.university160k import GALLERY, WHOLE_GALLERY
from cvgl.ingestion.camera.zones import camera_notes, with_neighbours_zones
from cvgl.ingestion.entries import Entry, Listing, Reason, Refusal
from cvgl.ingestion.map_checks import PositionProblem, find_position_problems
from cvgl.ingestion.merging import merge_entries
from cvgl.ingestion.scan_cache import Scan
from cvgl.ingestion.scanning import scan_files
from cvgl.ingestion.summaries import Remark, ViewSummary, skipped_remarks, source_folder, summarise
from cvgl.types import Progress, silent

SAMPLE = 200
"""Files that are opened where nobody says how many."""

_FIXES = {
    Reason.MISSING: "copy the files again, or fetch the archive that holds them",
    Reason.UNLISTED: "nothing has to be done: they are not used; remove them if they came here by mistake",
    Reason.UNKNOWN_FOLDER: "rename the folder to what the layout knows, or move it elsewhere",
    Reason.DUPLICATE: "fetch the splits again: each pair belongs to one of them, once",
    Reason.MISPLACED: "move the files to where the detail says",
    Reason.NOT_AN_IMAGE: "remove or convert the files",
    Reason.BAD_ROW: "fetch the table again",
    Reason.AMBIGUOUS: "write the folder in front of the names",
    Reason.CONFLICTING_POSITION: "keep one row of each image, the right one",
    Reason.CONFLICTING_LOCATION: "keep one row of each image, the right one",
    Reason.BAD_POSITION: "mend the table's positions",
    Reason.EMPTY: "copy the files again",
    Reason.DAMAGED: "copy the files again",
    Reason.TRUNCATED: "copy the files again: the last part of each is missing",
    Reason.UNREADABLE: "check the rights of the files, or the disk",
    Reason.OUTSIDE_ROOT: "copy the files into the folder: links that leave it are not followed",
    Reason.BAD_NAME: "rename the files",
    Reason.TOO_LARGE: "cut the images into tiles",
    Reason.CHANGING: "wait until the copy is complete, and look again",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a copy.

    Attributes:
        kind: one word for counting: missing, extra, wrong, unreadable, unplaced or doubtful.
        what: one sentence.
        count: how many files, places or rows it concerns.
        examples: the first few, by name.
        fix: what to do.
    """

    kind: str
    what: str
    count: int
    examples: tuple[str, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        source: the folder.
        layout: what it was taken for.
        reason: by what it was known.
        counts: what there is of every published part.
        problems: what is wrong, the most important first.
        notes: what else is worth knowing.
        images: how many there are.
        opened: how many of them were read to their last row.
        partial: whether published numbers were only shown.
        warnings: what need not be wrong, and costs something: no metres, most of all.
        summaries: of the images that were opened: how many have a position, from what, in which CRS.
        passed_over: what was not looked at, by kind.
    """

    source: Path
    layout: Layout
    reason: str
    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    images: int
    opened: int
    partial: bool = False
    warnings: tuple[Problem, ...] = ()
    summaries: tuple[ViewSummary, ...] = ()
    passed_over: tuple[Remark, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


def inspect(
    folder: str,
    layout: Layout = Layout.AUTO,
    sample: int | None = SAMPLE,
    *,
    partial: bool = False,
    max_pixels: int = 178_956_970,
    progress: Progress = silent,
) -> Inspection:
    """Looks at a copy of a data set.

    Args:
        folder: the copy, or a manifest.
        layout: what to take it for; auto looks.
        sample: how many images to open, spread evenly over all of them; None opens all.
        partial: whether a part of a release, or one's own images in its layout, is meant: published numbers and even
            spread are then shown, and not held against it.
        max_pixels: more make an image unreadable.
        progress: told about images opened.

    Raises:
        DataError: the folder is missing, is laid out in no known way, or a table in it cannot be read.
        MissingDependencyError: the layout needs a package that is not installed.
    """
    source = existing(folder)
    detected, reason = recognise(source) if layout is Layout.AUTO else (layout, "it was said so")
    listings = [
        list_source(IngestConfig(source=str(source), dataset="inspected", layout=layout_part))
        for layout_part in _layouts(detected, source)
    ]
    counts = _distinct(count for listing in listings for count in count_parts(listing))
    contradictions = [contradiction for listing in listings for contradiction in _contradictions(listing, counts, partial)]
    entries = list({entry.path: entry for listing in listings for entry in listing.entries}.values())
    opened = _evenly(entries, sample)
    scans = scan_files([entry.path for entry in opened], max_pixels, progress)
    by_path = {entry.path: scan for entry, scan in zip(opened, scans, strict=True)}
    images, refused = merge_entries(opened, by_path, {})
    root = source_folder(listings[0])
    summaries = summarise(images.values(), root)
    doubts = list(find_position_problems(detected, entries, list(images.values()), summaries))
    problems = [
        *([] if partial else _wrong_counts(counts)),
        *(_problem_of(contradiction) for contradiction in contradictions if contradiction.certain or not partial),
        *_refused([refusal for listing in listings for refusal in listing.refusals] + _misplaced(refused), source),
        *_masked_twice(listings),
        *_unreadable(scans, source, len(entries)),
        *(_doubtful(doubt, root) for doubt in doubts if doubt.certain),
    ]
    lines = [note for listing in listings for note in (*listing.warnings, *listing.notes)]
    lines += [
        f"{contradiction.count} {contradiction.text}: {', '.join(contradiction.examples)}"
        for contradiction in contradictions
        if partial and not contradiction.certain
    ]
    by_path = {entry.path: scan for entry, scan in zip(opened, scans, strict=True)}
    lines += camera_notes(opened, with_neighbours_zones(opened, by_path))
    notes = tuple(dict.fromkeys(lines))
    return Inspection(
        source=source,
        layout=detected,
        reason=reason,
        counts=counts,
        problems=tuple(dict.fromkeys(problems)),
        notes=notes,
        images=len(entries),
        opened=len(opened),
        partial=partial,
        warnings=tuple(_doubtful(doubt, root) for doubt in doubts if not doubt.certain),
        summaries=summaries,
        passed_over=tuple(remark for listing in listings for remark in skipped_remarks(listing, by_path)),
    )


def _layouts(layout: Layout, source: Path) -> list[Layout]:
    """CVACT's test images lie beside the others, and are looked at with them."""
    both = layout is Layout.CVACT and is_cvact(source) and (source / LARGE).is_dir()
    return [layout, Layout.CVACT_TEST] if both else [layout]


def _distinct(counts: Iterable[Count]) -> tuple[Count, ...]:
    return tuple({count.part.name: count for count in counts}.values())


def _evenly(entries: Sequence[Entry], sample: int | None) -> Sequence[Entry]:
    """So many entries at even distances, the first and the last among them."""
    if sample is None or len(entries) <= sample:
        return entries
    if sample < 2:
        return entries[:sample]
    last = len(entries) - 1
    return [entries[round(step * last / (sample - 1))] for step in range(sample)]


def _wrong_counts(counts: Iterable[Count]) -> Iterator[Problem]:
    for count in counts:
        published = count.part.images or 0
        if count.state is State.MISSING:
            yield Problem(
                "missing",
                f"{count.part.name} is missing: {published:,} are published",
                published,
                (),
                f"fetch {count.part.name}",
            )
        elif count.state is State.WRONG:
            surplus = count.images - published
            kind = "extra" if surplus > 0 else "missing" if surplus < 0 else "wrong"
            yield Problem(
                kind,
                str(count),
                abs(surplus) or abs(count.locations - (count.part.locations or 0)),
                (),
                f"fetch {count.part.name} again; if a part is all that is wanted, look with --partial",
            )


def _contradictions(listing: Listing, counts: Iterable[Count], partial: bool) -> Iterator[Inconsistency]:
    exact = [count.part.name for count in counts if count.state is State.RIGHT]
    return find_inconsistencies(listing, exact, partial=partial)


def _problem_of(inconsistency: Inconsistency) -> Problem:
    return Problem(
        inconsistency.kind,
        f"{inconsistency.count} {inconsistency.text}",
        inconsistency.count,
        inconsistency.examples,
        inconsistency.fix,
    )


def _misplaced(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Of what only opening the images tells: whether what lies in and beside them places them."""
    return [refusal for refusal in refusals if refusal.reason is Reason.BAD_POSITION]


def _doubtful(doubt: PositionProblem, root: Path) -> Problem:
    names = tuple(name.removeprefix(f"{root}/") for name in doubt.names[:MAX_EXAMPLES] if name)
    return Problem("unplaced" if doubt.certain else "doubtful", doubt.text, max(1, len(doubt.names)), names, doubt.fix)


def _refused(listed: Iterable[Refusal], source: Path) -> Iterator[Problem]:
    """One problem for each reason, whatever the number of files."""
    refusals: dict[Reason, dict[str, str]] = defaultdict(dict)
    for refusal in listed:
        refusals[refusal.reason][refusal.uri.removeprefix(f"{source}/")] = refusal.detail
    for reason, details in refusals.items():
        kind = {
            Reason.MISSING: "missing",
            Reason.UNLISTED: "extra",
            Reason.UNKNOWN_FOLDER: "extra",
            Reason.NOT_AN_IMAGE: "extra",
        }.get(reason, "wrong")
        names = list(details)
        first = details[names[0]]
        sentence = f"{len(names)} refused as {reason}: {first}"
        yield Problem(
            kind, sentence, len(names), tuple(names[:MAX_EXAMPLES]), _FIXES.get(reason, "see docs/how-to/ingestion.md")
        )


def _masked_twice(listings: Iterable[Listing]) -> Iterator[Problem]:
    """Where the challenge's whole gallery lies beside the labelled one, every right answer is there twice."""
    for listing in listings:
        if listing.layout is not Layout.UNIVERSITY160K:
            continue
        pool = [e for e in listing.entries if e.location_id is None and GALLERY in e.path.relative_to(listing.source).parts]
        labelled = [e for e in listing.entries if "gallery_satellite" in e.path.relative_to(listing.source).parts]
        if labelled and len(pool) == WHOLE_GALLERY:
            yield Problem(
                "extra",
                f"{GALLERY} holds the {len(labelled)} labelled images once more under masked names, as distractors",
                len(labelled),
                (),
                "take them out: a right answer under its masked name would count as wrong",
            )


def _unreadable(scans: Iterable[Scan], source: Path, total: int) -> Iterator[Problem]:
    by_reason: dict[Reason, list[Scan]] = defaultdict(list)
    opened = 0
    for scan in scans:
        opened += 1
        if scan.reason is not None:
            by_reason[scan.reason].append(scan)
    for reason, bad in by_reason.items():
        names = tuple(scan.uri.removeprefix(f"{source}/") for scan in bad[:MAX_EXAMPLES])
        of = f"{opened} opened" if opened < total else f"all {total}"
        fix = _FIXES.get(reason, "see docs/how-to/ingestion.md") + ("" if opened == total else "; --all opens the others, too")
        yield Problem("unreadable", f"{len(bad)} of {of} images: {reason}, {bad[0].detail}", len(bad), names, fix)
