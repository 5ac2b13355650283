"""One batch into the dataset: its images, and tombstones for references that are gone. Doing it again changes nothing.

Ingestion reads the source as the batches up to this one have left it: files that came later, or have changed since, are
left for their own batch, so the tables do not depend on when a batch is taken in.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cvgl import schemas
from cvgl.arrival import batches, watch_state
from cvgl.arrival.batches import Batch, Contents, State
from cvgl.arrival.source import Found, UnreachableError, check_present
from cvgl.arrival.staging import Spool
from cvgl.config import ArrivalConfig, Forget, Layout
from cvgl.datasets.detection import detect
from cvgl.errors import DataError
from cvgl.hashing import IMAGE_ID_LENGTH, sha256_file
from cvgl.ingestion.entries import Reason
from cvgl.ingestion.scan_cache import Scan
from cvgl.ingestion.tables import add_batch, image_batches, quarantine_of_source, read_images
from cvgl.ingestion.tombstones import set_tombstones, tombstones_file
from cvgl.ingestion.walking import is_system_file
from cvgl.lake import Lake, read_parquet
from cvgl.stages.ingest import IngestOutcome, ingest
from cvgl.types import Progress, View, silent

logger = logging.getLogger(__name__)
Present = Callable[[Mapping[Path, Scan]], None]


@dataclass(frozen=True, slots=True)
class IntakeOutcome:
    """What a batch came to.

    Attributes:
        new, updated, known, quarantined: images, as `cvgl.stages.ingest` counts them.
        tombstoned: references that left the dataset.
        left: files that have changed again since the batch closed, or are not there; they come with a later one.
        images_through: the newest batch of the images table.
        notes: what a person should know.
    """

    new: int = 0
    updated: int = 0
    known: int = 0
    quarantined: int = 0
    tombstoned: int = 0
    left: tuple[str, ...] = ()
    images_through: str = ""
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """The numbers, by name."""
        names = ("new", "updated", "known", "quarantined", "tombstoned")
        return {**{name: getattr(self, name) for name in names}, "superseded": len(self.left)}


@dataclass(slots=True)
class _Taken:
    """What the sources within a batch came to so far."""

    outcomes: list[IngestOutcome] = field(default_factory=list)
    problems: list[DataError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Tree:
    """The folder that a batch is read from.

    Attributes:
        root: of it.
        paths: of files that are there under another name than the source's own ones, or may be: those of a bucket.
        refused: files that it does not hold, with the reason.
    """

    root: Path
    paths: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def at(self, name: str) -> Path:
        return self.root / self.paths.get(name, name)


def take_in(batch: Batch, config: ArrivalConfig, lake: Lake, progress: Progress = silent) -> IntakeOutcome:
    """Ingests the images of a batch and sets its tombstones.

    Args:
        batch: from the queue; those before it have been taken in.
        config: of the source.
        lake: where everything is.
        progress: told about every few hundred files.

    Raises:
        UnreachableError: the source is not there now; nothing was written.
        DataError: nothing in the batch can be used.
        LakeError: the lake is damaged.
    """
    brought = batches.contents(lake, batch)
    before = batches.ledger(lake, batch.dataset, batch.source, through=batch.number - 1)
    files = batches.ledger(lake, batch.dataset, batch.source, through=batch.number)
    tree = _tree(batch, files, lake)
    root = tree.root
    n_refused = _list_refused(batch, {**batches.refusals(lake, batch), **tree.refused}, config, lake)
    admitted = _admitted(tree, batch, files, lake)
    present = _presence(root, batch, batches.expected(lake, batch), config)
    present({})
    touched = [tree.paths.get(name, name) for name in _touched(batch, brought, lake)]
    taken = _ingest_all(_deliveries(root, config, touched), admitted, config, lake, progress, present)
    if taken.problems and not taken.outcomes and brought.files:
        raise taken.problems[0]
    tombstoned = _bury(batch, brought, before, config, lake)
    new, updated = _told_from_the_batch_before(batch, lake)
    return IntakeOutcome(
        new=new,
        updated=updated,
        known=sum(outcome.new + outcome.updated + outcome.known for outcome in taken.outcomes) - new - updated,
        quarantined=sum(outcome.quarantined for outcome in taken.outcomes) + n_refused,
        tombstoned=tombstoned,
        left=tuple(
            sorted(name for name in brought.files if name not in brought.refused and str(tree.at(name)) not in admitted)
        ),
        images_through=(image_batches(lake, batch.dataset) or [""])[-1],
        notes=tuple(
            dict.fromkeys(
                [note for outcome in taken.outcomes for note in outcome.notes] + [str(error) for error in taken.problems]
            )
        ),
    )


def _presence(root: Path, batch: Batch, files: Collection[str], config: ArrivalConfig) -> Present:
    """Raises where a source on this machine has gone, so that nothing is refused which only cannot be read now."""

    def present(scans: Mapping[Path, Scan]) -> None:
        if "://" in batch.source:
            return
        check_present(root, files, config.watch)
        lost = [path for path, scan in scans.items() if scan.reason is Reason.MISSING]
        if lost:  # each was there a moment ago
            raise UnreachableError(f"{len(lost)} files went while they were read", where=lost[0], fix="bring them back")

    return present


def _ingest_all(
    folders: list[Path],
    admitted: set[str],
    config: ArrivalConfig,
    lake: Lake,
    progress: Progress,
    present: Present,
) -> _Taken:
    """Ingests folders; one that cannot be used yet, as drone images without a map, is tried again after the others."""
    taken = _Taken()
    while folders:
        failed: list[Path] = []
        taken.problems = []
        for folder in folders:
            source = config.ingest.model_copy(update={"source": str(folder)})
            try:
                taken.outcomes.append(ingest(source, lake, progress, lambda path: str(path) in admitted, present))
            except UnreachableError:
                raise
            except DataError as error:
                present({})
                taken.problems.append(error)
                failed.append(folder)
        if len(failed) == len(folders):
            break
        folders = failed
    return taken


def _tree(batch: Batch, files: Mapping[str, str], lake: Lake) -> _Tree:
    """The folder to read: the source itself, or the spool's image of it, moved on to this batch."""
    if "://" not in batch.source:
        return _Tree(Path(batch.source))
    spool = Spool.of(lake, batch.dataset, batch.source)
    refused = {name: f"{Reason.UNREADABLE}: {why}" for name, why in spool.show(files).items()}
    return _Tree(spool.tree, spool.paths(name for name, sha256 in files.items() if sha256), refused)


def _list_refused(batch: Batch, refused: Mapping[str, str], config: ArrivalConfig, lake: Lake) -> int:
    """Puts what could not be had of a bucket into quarantine, and takes out what has been since; gives how many there are.

    In a folder of this machine ingestion sees such names itself.
    """
    if "://" not in batch.source:
        return 0
    rows = {}
    for name, stated in refused.items():
        reason, _, detail = stated.partition(": ")
        uri = f"{batch.source}/{name}"
        rows[uri] = {"uri": uri, "reason": reason, "detail": detail}
    before = quarantine_of_source(lake, batch.dataset, batch.source)
    mended = {"reason": str(Reason.RESOLVED), "detail": "no longer refused"}
    changed = [row for uri, row in rows.items() if row != before.get(uri)]
    changed += [{"uri": uri, **mended} for uri, row in before.items() if uri not in rows and row["reason"] != Reason.RESOLVED]
    changed.sort(key=lambda row: row["uri"])
    add_batch(lake.quarantine(batch.dataset), changed, schemas.QUARANTINE, config.ingest.layout, batch.source)
    return len(rows)


def _admitted(tree: _Tree, batch: Batch, files: Mapping[str, str], lake: Lake) -> set[str]:
    """Absolute names of the files that still hold what their batches say."""
    root = tree.root
    if "://" in batch.source:
        return {str(tree.at(name)) for name in files if name in tree.paths and name not in tree.refused}
    remembered = watch_state.read(lake, batch.dataset, batch.source)

    def holds(name: str, sha256: str) -> bool:
        path = root / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # reading it might never end; ingestion refuses it
                return sha256 == ""
            file = Found(status.st_size, f"{status.st_size}-{status.st_mtime_ns}", None)
            content = remembered.content(name, file)
            return sha256 == (sha256_file(path) if content is None else content)
        except FileNotFoundError:
            return False
        except OSError:
            return sha256 == ""

    return {str(root / name) for name, sha256 in files.items() if holds(name, sha256)}


def _told_from_the_batch_before(batch: Batch, lake: Lake) -> tuple[int, int]:
    """New and updated images since the batch before this one; the same when a kill has cut the ingestion in two."""
    before = [
        predecessor.images_through for predecessor in batches.batches(lake, batch.dataset) if predecessor.number < batch.number
    ]
    image_files = image_batches(lake, batch.dataset)
    if not image_files:
        return 0, 0
    through = max([*before, batch.images_before])
    earlier = set(read_images(lake, batch.dataset, through)["image_id"].to_pylist()) if through else set()
    rows = read_images(lake, batch.dataset).select(["image_id", "batch"]).to_pylist()
    new = sum(row["image_id"] not in earlier for row in rows)
    return new, sum(row["image_id"] in earlier and row["batch"] > through for row in rows)


def _touched(batch: Batch, brought: Contents, lake: Lake) -> list[str]:
    """Names of what the batch changes, and of what earlier ones brought in vain: drone images before there was a map."""
    failed = [
        earlier
        for earlier in batches.batches(lake, batch.dataset)
        if earlier.state is State.FAILED and earlier.number < batch.number
    ]
    again = [name for earlier in failed if earlier.source == batch.source for name in batches.contents(lake, earlier).files]
    return [*brought.files, *brought.removed, *again]


def _deliveries(root: Path, config: ArrivalConfig, touched: Iterable[str]) -> list[Path]:
    """The folders to ingest: the source, where it is laid out in a known way, else those of its folders that are.

    People copy their flights side by side into one folder, each laid out as ingestion knows it. Only those that the batch
    touches are read.
    """
    if config.ingest.layout is not Layout.AUTO or _is_known(root):
        return [root]
    names = {name.partition("/")[0] for name in touched if "/" in name}
    folders = [root / name for name in sorted(names) if not is_system_file(name) and (root / name).is_dir()]
    view_folders = [folder for folder in folders if _is_known(folder)]
    for folder in folders:
        if folder not in view_folders:
            logger.warning("%s is laid out in no known way and is passed over (docs/how-to/ingestion.md)", folder)
    return view_folders or [root]


def _is_known(folder: Path) -> bool:
    try:
        detect(folder)
    except DataError:
        return False
    return True


def _bury(batch: Batch, brought: Contents, before: Mapping[str, str], config: ArrivalConfig, lake: Lake) -> int:
    """Sets tombstones for references whose files were deleted or hold another image now; gives how many there are."""
    path = tombstones_file(lake, batch.dataset, batch.batch)
    if path.is_file():  # written before a kill: the images are hidden already, and would not be found again
        return int(read_parquet(path, ["image_id"]).num_rows)
    image_files = image_batches(lake, batch.dataset)
    if config.watch.forget is Forget.NONE or not image_files:
        return 0
    replaced = [name for name, sha256 in brought.files.items() if name in before and sha256 != before[name]]
    reasons = {**dict.fromkeys(brought.removed, "deleted"), **dict.fromkeys(replaced, "replaced")}
    earlier = _places(batch, before, lake)
    lost = {
        (before[name][:IMAGE_ID_LENGTH], str(earlier.at(name))): reason for name, reason in reasons.items() if before.get(name)
    }
    rows = [_stone(row, reason, image_files[-1]) for row, reason in _served(lake, batch.dataset, lost)]
    set_tombstones(lake, batch.dataset, batch.batch, rows)
    return len(rows)


def _places(batch: Batch, files: Mapping[str, str], lake: Lake) -> _Tree:
    """Where the files of a source are, or were, when exactly these are there; nothing is moved."""
    if "://" not in batch.source:
        return _Tree(Path(batch.source))
    spool = Spool.of(lake, batch.dataset, batch.source)
    return _Tree(spool.tree, spool.paths(name for name, sha256 in files.items() if sha256))


def _served(lake: Lake, dataset: str, lost: Mapping[tuple[str, str], str]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Rows of references that still go by a lost file's name; those that are known under another name now stay.

    A replaced file's old row is hidden by the newer row of the same name already, so every batch is asked.
    """
    serving = {row["image_id"]: row["uri"] for row in read_images(lake, dataset).select(["image_id", "uri"]).to_pylist()}
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name in image_batches(lake, dataset):
        table = read_parquet(lake.images(dataset) / f"{name}.parquet", ["image_id", "uri", "view"], kind="images")
        rows |= {(row["image_id"], row["uri"]): row for row in table.to_pylist() if (row["image_id"], row["uri"]) in lost}
    for key, row in sorted(rows.items()):
        if View(row["view"]).is_reference and serving.get(key[0], key[1]) == key[1]:
            yield row, lost[key]


def _stone(row: Mapping[str, Any], reason: str, through: str) -> dict[str, str]:
    return {"image_id": row["image_id"], "uri": row["uri"], "view": row["view"], "reason": reason, "through": through}
