"""The queue of batches: small files of the lake, each moved from state to state in one atomic step.

    arrivals/dataset=<name>/<number>-<hash>.json         state of a batch, and what each step came to
    arrivals/dataset=<name>/files/<number>-<hash>.json   which files it brought, with their content hashes, and which are gone
    arrivals/dataset=<name>/told/<number>-<hash>.json    an event has told of it; with -end: people have been told its end

The hash covers the batch before it and the contents of this one, so that the same arrivals give the same ids whenever and
by however many watchers they are noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError

from cvgl.config import Settings
from cvgl.errors import DataError, LakeError
from cvgl.hashing import IMAGE_ID_LENGTH, digest_json
from cvgl.ingestion.tables import image_batches
from cvgl.lake import TEMPORARY_PREFIX, Lake, read_json, read_versioned, sweep, sync_folder, write_json, write_versioned

DIGEST_LENGTH = 12


class State(StrEnum):
    """How far a batch is. A process that dies leaves the last state that was reached."""

    QUEUED = "queued"  # closed; its files are known by content, and remote ones are in the spool
    INGESTED = "ingested"  # its images and tombstones are in the dataset's tables
    EXTRACTED = "extracted"  # its images are described
    DECIDED = "decided"  # adapt; what follows is the challenger's way to the gate
    ADAPTED = "adapted"
    EVALUATED = "evaluated"
    REGISTERED = "registered"  # the gate has spoken
    KEPT = "kept"  # the champion stays; its map follows the references that came and went
    DONE = "done"
    WAITING = "waiting"  # for a person's answer; later batches do not wait for it
    FAILED = "failed"  # something that only a person can mend; later batches do not wait for it


ANSWERABLE = frozenset({State.WAITING, State.FAILED})
OPEN = frozenset(State) - ANSWERABLE - {State.DONE}
Answer = Literal["adapt", "skip"]


class Batch(Settings):
    """One batch. `outcome` of a finished batch: promoted, refused, unchanged, skipped, or not usable."""

    format: Literal[1] = 1
    batch: str
    number: int = Field(ge=1)
    dataset: str
    source: str = Field(description="absolute folder or address")
    n_files: int = Field(ge=0, description="new and changed files")
    n_removed: int = Field(ge=0)
    n_bytes: int = Field(ge=0)
    state: State = State.QUEUED
    ingest: dict[str, JsonValue] = Field(default_factory=dict, description="new, updated, known, quarantined, tombstoned")
    left: tuple[str, ...] = Field(
        (), description="files that were not there any more when it was taken in; they may come again"
    )
    images_before: str = Field("", description="newest batch of the images table when this one was closed")
    images_through: str = Field("", description="newest batch of the images table when this one had been taken in")
    features: str = Field("", description="fingerprint of the frozen model that its images are described with")
    verdict: str = Field("", description="adapt, skip or ask")
    champion: str = Field("", description="run that served when it was decided upon; empty: none did")
    answer: Answer | None = Field(None, description="a person's")
    run: str = Field("", description="of the challenger")
    outcome: str = ""
    reason: str = Field("", description="for people: of the newest decision or failure")

    @property
    def is_open(self) -> bool:
        """Whether there is work to do that nobody has to be asked about."""
        return self.state in OPEN


class Contents(Settings):
    """What a batch brought and took away, by path relative to the source.

    An empty hash is a file that could not be read; ingestion refuses it with the reason, or `refused` has it.
    """

    files: dict[str, str] = Field(description="sha256 of the content")
    removed: tuple[str, ...] = ()
    refused: dict[str, str] = Field(
        default_factory=dict, description="why a file could not be had at all, as 'reason: detail', by its name"
    )

    def record(self) -> dict[str, Any]:
        """JSON-able; without refused files just what it was before there were any, since the id of a batch follows from it."""
        return self.model_dump(mode="json", exclude=None if self.refused else {"refused"})


def folder(lake: Lake, dataset: str) -> Path:
    """Where the batches of a dataset are."""
    return lake.arrivals(dataset)


def batches(lake: Lake, dataset: str) -> list[Batch]:
    """All batches of a dataset, oldest first.

    Raises:
        LakeError: a record is damaged.
    """
    paths = sorted(path for path in folder(lake, dataset).glob("*.json") if not path.name.startswith(TEMPORARY_PREFIX))
    return sorted((_read(path) for path in paths), key=lambda batch: batch.number)


def find(lake: Lake, dataset: str, name: str) -> Batch:
    """One batch, by its id, the beginning of it, or its number.

    Raises:
        DataError: there is none, or several begin so.
    """
    all_batches = batches(lake, dataset)
    chosen = [batch for batch in all_batches if batch.batch == name or str(batch.number) == name]
    chosen = chosen or [batch for batch in all_batches if batch.batch.startswith(name)]
    if len(chosen) != 1:
        listed = ", ".join(batch.batch for batch in all_batches) or "none"
        raise DataError(f"{len(chosen) or 'no'} batches are called '{name}'", where=dataset, fix=f"batches there are: {listed}")
    return chosen[0]


def contents(lake: Lake, batch: Batch) -> Contents:
    """What a batch brought.

    Raises:
        LakeError: the record is missing or damaged.
    """
    path = folder(lake, batch.dataset) / "files" / f"{batch.batch}.json"
    try:
        return Contents.model_validate(read_versioned(path, "batch_files"))
    except ValidationError as error:
        raise LakeError(
            f"the list of a batch's files is damaged: {error}", where=path, fix="restore it from a backup"
        ) from error


def ledger(lake: Lake, dataset: str, source: str, through: int | None = None) -> dict[str, str]:
    """Which files of a source have come in batches so far, with the hash of what they held last.

    Args:
        source: its location.
        through: number of the last batch that counts; default: all.
    """
    batch_of_file: dict[str, str] = {}
    for batch in batches(lake, dataset):
        if batch.source == source and (through is None or batch.number <= through):
            brought = contents(lake, batch)
            batch_of_file.update({name: sha256 for name, sha256 in brought.files.items() if name not in batch.left})
            for name in brought.removed:
                batch_of_file.pop(name, None)
    return batch_of_file


def expected(lake: Lake, batch: Batch) -> set[str]:
    """Files of a batch and of those before it that could be read and that no later batch has found deleted."""
    through = {name: sha256 for name, sha256 in ledger(lake, batch.dataset, batch.source, batch.number).items() if sha256}
    return through.keys() & ledger(lake, batch.dataset, batch.source).keys()


def refusals(lake: Lake, batch: Batch) -> dict[str, str]:
    """Files of a batch's source that could not be had as far as that batch, with the reason, by name."""
    reasons: dict[str, str] = {}
    for earlier in batches(lake, batch.dataset):
        if earlier.source == batch.source and earlier.number <= batch.number:
            brought = contents(lake, earlier)
            reasons = {name: reason for name, reason in reasons.items() if not brought.files.get(name)}
            reasons = {name: reason for name, reason in reasons.items() if name not in brought.removed} | brought.refused
    return reasons


def new_ids(lake: Lake, batch: Batch) -> set[str]:
    """Image ids of what a batch brought; a copy of what its source held already is nothing new."""
    before = ledger(lake, batch.dataset, batch.source, through=batch.number - 1)
    return _image_ids(contents(lake, batch).files) - _image_ids(before)


def _image_ids(files: Mapping[str, str]) -> set[str]:
    return {sha256[:IMAGE_ID_LENGTH] for sha256 in files.values() if sha256}


def close(lake: Lake, dataset: str, source: str, brought: Contents, n_bytes: int) -> Batch:
    """Puts a batch into the queue. To be called under the dataset's lock; doing it again changes nothing.

    Args:
        source: its location.
        brought: new, changed and vanished files.
        n_bytes: their size together.
    """
    before = batches(lake, dataset)
    previous = before[-1].batch if before else ""
    digest = digest_json([previous, dataset, brought.record()])[:DIGEST_LENGTH]
    number = before[-1].number + 1 if before else 1
    batch = Batch(
        batch=f"{number:04d}-{digest}",
        number=number,
        dataset=dataset,
        source=source,
        n_files=len(brought.files),
        n_removed=len(brought.removed),
        n_bytes=n_bytes,
        images_before=(image_batches(lake, dataset) or [""])[-1],
    )
    sweep(folder(lake, dataset))
    # The files first: a batch that is in the queue has everything that it needs.
    write_versioned(folder(lake, dataset) / "files" / f"{batch.batch}.json", "batch_files", brought.record())
    return advance(lake, batch)


def advance(lake: Lake, batch: Batch, **changes: Any) -> Batch:
    """Writes a batch with changes, in one step, and gives it."""
    changed = Batch.model_validate({**batch.model_dump(), **changes})
    write_versioned(folder(lake, batch.dataset) / f"{batch.batch}.json", "batch", changed.model_dump(mode="json"))
    return changed


def answer(lake: Lake, batch: Batch, decision: Answer) -> Batch:
    """A person's answer to a batch that waits for one, or whose failure has been mended.

    Raises:
        DataError: nobody is asked about this batch.
    """
    if batch.state not in ANSWERABLE:
        raise DataError(
            f"nobody is asked about the batch {batch.batch}: it is {batch.state}",
            where=batch.dataset,
            fix="cvgl batches lists those that wait",
        )
    if decision == "skip":
        return advance(
            lake, batch, answer=decision, state=State.DONE, outcome="skipped", reason=f"a person said skip; {batch.reason}"
        )
    # What failed before it was described begins anew; a finished step is found finished.
    state = State.DECIDED if batch.features and batch.state is State.WAITING else State.QUEUED
    return advance(lake, batch, answer=decision, state=state, outcome="", reason=f"a person said adapt; {batch.reason}")


def queue(lake: Lake, dataset: str) -> list[Batch]:
    """Batches that something is to be done with, oldest first."""
    return [batch for batch in batches(lake, dataset) if batch.is_open]


def is_told(lake: Lake, batch: Batch) -> bool:
    """Whether an event has told of a batch."""
    return _mark(lake, batch).is_file()


def mark_told(lake: Lake, batch: Batch) -> None:
    """Notes that an event has told of a batch. Apart from its record, which whoever works on it writes."""
    write_json(_told(lake, batch), {"batch": batch.batch})


def unreported(lake: Lake, dataset: str) -> list[Batch]:
    """Batches that have come to an end, or to a person, which nobody has been told of yet; oldest first."""
    return [batch for batch in batches(lake, dataset) if not batch.is_open and not _is_reported(lake, batch)]


def mark_reported(lake: Lake, batch: Batch) -> None:
    """Notes that people have been told what a batch came to."""
    write_json(_told(lake, batch, "-end"), {"batch": batch.batch, "end": end_of(batch)})


def end_of(batch: Batch) -> str:
    """A name for what a batch has come to; another one where a person's answer has led it elsewhere."""
    return digest_json([batch.batch, batch.state, batch.outcome, batch.reason])[:DIGEST_LENGTH]


def _is_reported(lake: Lake, batch: Batch) -> bool:
    path = _mark(lake, batch, "-end")
    return path.is_file() and bool(read_json(path).get("end") == end_of(batch))


def _told(lake: Lake, batch: Batch, ending: str = "") -> Path:
    return folder(lake, batch.dataset) / "told" / f"{batch.batch}{ending}.json"


def _mark(lake: Lake, batch: Batch, ending: str = "") -> Path:
    """A mark, wherever it is: earlier versions kept marks in the cache, from where they are moved when they are looked at."""
    path = _told(lake, batch, ending)
    earlier = lake.root / "cache" / "arrivals" / folder(lake, batch.dataset).name / "told" / path.name
    if path.is_file() or not earlier.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier.replace(path)
    except OSError:
        return earlier if earlier.is_file() else path  # the lake is read-only, or another process has moved it
    sync_folder(path.parent)
    return path


def _read(path: Path) -> Batch:
    try:
        return Batch.model_validate(read_versioned(path, "batch"))
    except ValidationError as error:
        raise LakeError(f"the record of a batch is damaged: {error}", where=path, fix="restore it from a backup") from error
