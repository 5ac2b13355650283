"""The flows that take in what arrives: `notice` looks and tells, `arrival` looks and works through the queue.

Each batch is moved on from state to state, one atomic write after each step, and every step finds its own finished work. So
whatever is killed, the next run of either flow goes on where that one ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from prefect import tags
from pydantic import BaseModel, ConfigDict

from cvgl.arrival import batches, costs, locks
from cvgl.arrival.batches import Batch, State
from cvgl.arrival.cleanup import sweep_leftovers
from cvgl.arrival.extraction import check_source, damaged_extraction, gone_while_described, running_settings, settled_extraction
from cvgl.arrival.source import UnreachableError
from cvgl.arrival.watching import Look
from cvgl.config import ArrivalConfig, ExtractConfig
from cvgl.errors import ConfigError, CvglError, DataError, LakeError, ModelError
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import ExtractOutcome
from flows.adapt import adapt
from flows.align import align
from flows.evaluate import evaluate
from flows.extract import extract
from flows.register import register
from flows.report import report
from flows.stage import stage_flow
from tasks.arrival import announce, decide, follow_references, gate_said, look, show_queue, take_in, training_work
from tasks.recover import recover
from tasks.run_summary import tell

logger = logging.getLogger("cvgl.arrival")
# What only a person can mend. Anything else (a disk, the network, the registry) leaves the batch where it is, to go on later.
LASTING = (DataError, ConfigError, ModelError)


class ArrivalOutcome(BaseModel):
    """What a run of a flow came to, for programs.

    Attributes:
        source, dataset: what was watched, and into which map.
        listed: files in the source.
        pending: files that are not complete yet, or wait for others.
        missing: files that are gone and wait to be believed gone.
        closed: the batch that was closed now.
        told: batches that an event was emitted for.
        worked: batches that were worked on, as they are now.
        waiting: batches that wait for a person.
        notes: what a person should know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    dataset: str
    listed: int = 0
    pending: int = 0
    missing: int = 0
    closed: str | None = None
    told: tuple[str, ...] = ()
    worked: tuple[Batch, ...] = ()
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """One line for people."""
        if self.worked:
            return "; ".join(f"batch {batch.batch}: {batch.outcome or batch.state} ({batch.reason})" for batch in self.worked)
        if self.closed:
            return f"batch {self.closed} is in the queue"
        left = f"{self.pending} files are not complete yet" if self.pending else "nothing new"
        return f"{left}; {self.listed} files are there"


@stage_flow("notice", run_name="notice {config.ingest.dataset}")
def notice(config: ArrivalConfig) -> ArrivalOutcome:
    """Looks at the source, closes a batch where one is complete, and emits an event for each batch in the queue."""
    lake = Lake.at(config.lake)
    with tags(config.dataset):
        look_outcome = look(config, lake)
        announced = announce(config, lake)
        return _outcome(config, lake, look_outcome, announced=announced)


@stage_flow("arrival", run_name="arrival {config.ingest.dataset}")
def arrival(config: ArrivalConfig) -> ArrivalOutcome:
    """Looks at the source and works through the queue: take in, describe, decide; adapt where that is the decision."""
    lake = Lake.at(config.lake)
    with tags(config.dataset):
        recover(config.dataset, config.registry, lake)  # what a process that died has left between map and registry
        unreachable, look_outcome = None, None
        try:
            look_outcome = look(config, lake)
        except DataError as error:
            unreachable = error  # what is in the queue needs no source that can be reached
        worked = work_through(config, lake)
        show_queue(config.dataset, batches.batches(lake, config.dataset))
        if unreachable is not None:
            raise unreachable
        return _outcome(config, lake, look_outcome, worked=worked)


def work_through(config: ArrivalConfig, lake: Lake) -> tuple[Batch, ...]:
    """Works on every open batch of a map, oldest first; one process at a time."""
    worked: dict[str, Batch] = {}
    away: dict[str, UnreachableError] = {}  # by source: what came from elsewhere does not wait for it
    with locks.working(lake, config.dataset) as killed:
        if killed:
            _tell_of_a_kill(lake, config.dataset)
        _report_ends(lake, config.dataset)  # of batches that a process which was killed had finished, or a person has
        while waiting := [batch for batch in batches.queue(lake, config.dataset) if batch.source not in away]:
            batch = waiting[0]
            try:
                worked[batch.batch] = _finish(batch, config, lake)
            except UnreachableError as error:
                logger.warning("batch %s stays as far as it is until its source is there again: %s", batch.batch, error)
                away[batch.source] = error
            _report_ends(lake, config.dataset)
        if worked or killed:
            sweep_leftovers(lake)
    if away:
        raise next(iter(away.values()))
    return tuple(worked.values())


def _tell_of_a_kill(lake: Lake, dataset: str) -> None:
    waiting = batches.queue(lake, dataset)
    left = f"batch {waiting[0].batch}, which is {waiting[0].state}" if waiting else "nothing, all was done"
    logger.warning("the process that worked on the map %s before was killed; going on with %s", dataset, left)


def _report_ends(lake: Lake, dataset: str) -> None:
    """Tells what became of batches; whatever stands in the way of that stands in the way of nothing else."""
    for batch in batches.unreported(lake, dataset):
        with tags(batch.batch):
            try:
                tell(batch, lake)
            except (CvglError, OSError) as error:
                logger.warning("what became of batch %s is told at the next look: %s", batch.batch, error)


def _finish(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    """Takes one batch to where there is nothing left to do without a person."""
    config = _for_source(config, batch)
    with tags(batch.batch):
        while batch.is_open:
            logger.info("batch %s is %s", batch.batch, batch.state)
            try:
                batch = _step(batch, config, lake)
            except UnreachableError:
                raise  # nothing is wrong with the batch
            except LASTING as error:
                logger.error("batch %s of %s: %s", batch.batch, batch.dataset, error)
                batch = batches.advance(lake, batch, state=State.FAILED, outcome="not usable", reason=str(error.what))
    logger.info("batch %s is %s: %s", batch.batch, batch.outcome or batch.state, batch.reason)
    return batch


def _step(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    """One step; where descriptors turn out to be damaged, once more after their images were described again."""
    try:
        return _STEPS[batch.state](batch, config, lake)
    except LakeError as error:
        settings = damaged_extraction(lake, batch)
        if settings is None:
            raise
        logger.warning("batch %s: %s; the images are described again", batch.batch, error.what)
        _extract(batch, settings.model_copy(update=running_settings(config.extract)), config, lake)
        return _STEPS[batch.state](batch, config, lake)


def _extract(batch: Batch, extraction: ExtractConfig, config: ArrivalConfig, lake: Lake) -> ExtractOutcome:
    """Describes what is missing; once more where files were away that are there again."""
    for _ in range(2):
        try:
            described = extract(batch.dataset, extraction, config.lake, config.cluster)
        except DataError:
            check_source(batch, config, lake)  # what cannot be described may only be away
            raise
        if not gone_while_described(batch, described.failures, config, lake):
            break
    return described


def _for_source(config: ArrivalConfig, batch: Batch) -> ArrivalConfig:
    """A dataset may be fed by several sources, and the queue is the dataset's."""
    if config.ingest.source == batch.source:
        return config
    return config.model_copy(update={"ingest": config.ingest.model_copy(update={"source": batch.source})})


def _take_in(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    taken = take_in(batch, config, lake)
    done = {"ingest": taken.counts(), "left": taken.left, "images_through": taken.images_through}
    return batches.advance(lake, batch, state=State.INGESTED, **done)


def _describe(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    extraction = settled_extraction(lake, batch.dataset, config.extract)
    if extraction is None:  # no champion to be comparable with: as in the pipeline
        extraction = config.extract
        if config.align.enabled:
            choice = config.align.model_copy(update={"query_view": config.align.query_view or config.adapt.query_view})
            extraction = align(batch.dataset, config.extract, choice, config.lake).config
    with locks.extraction_slot(lake, config.parallel_extractions), costs.measured() as meter:
        described = _extract(batch, extraction, config, lake)
    if described.embedded:
        costs.record(lake, batch.dataset, batch.batch, meter, "extract", described.ref.digest, described.embedded)
    return batches.advance(lake, batch, state=State.EXTRACTED, features=described.ref.digest)


def _decide(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    decision = decide(batch, config, lake)
    return batches.advance(
        lake,
        batch,
        state=State.DECIDED if decision.verdict == "adapt" else State.KEPT,
        verdict=decision.verdict,
        champion=decision.evidence.champion or "",
        reason=decision.reason,
        outcome="skipped" if decision.verdict == "skip" else "",
    )


def _adapt(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    with costs.measured() as meter:
        learned = adapt(batch.dataset, batch.features, config.adapt, config.lake, config.select)
    if not learned.skipped:
        work = training_work(lake, batch)
        costs.record(lake, batch.dataset, batch.batch, meter, "adapt", str(config.adapt.recipe), work)
    return batches.advance(lake, batch, state=State.ADAPTED, run=learned.run)


def _evaluate(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    evaluate(batch.run, config.evaluate, config.lake)
    return batches.advance(lake, batch, state=State.EVALUATED)


def _register(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    """The gate in front of the registry decides whether the challenger serves."""
    registered = register(batch.run, config.registry, config.evaluate, config.lake)
    verdict, reason = gate_said(registered, batch, lake)
    return batches.advance(lake, batch, state=State.REGISTERED, outcome=verdict, reason=f"{batch.reason}; {reason}")


def _report(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    report(batch.run, config.registry, config.lake)
    return batches.advance(lake, batch, state=State.DONE if batch.outcome == "promoted" else State.KEPT)


def _keep(batch: Batch, config: ArrivalConfig, lake: Lake) -> Batch:
    """No new champion: references that came or went are searched, or are not, all the same."""
    follow_references(batch, config.registry, lake)
    asks = batch.verdict == "ask" and batch.answer is None
    return batches.advance(lake, batch, state=State.WAITING if asks else State.DONE)


# What is done with a batch in each state; each step ends with the next state.
_STEPS: Mapping[State, Callable[[Batch, ArrivalConfig, Lake], Batch]] = {
    State.QUEUED: _take_in,
    State.INGESTED: _describe,
    State.EXTRACTED: _decide,
    State.DECIDED: _adapt,
    State.ADAPTED: _evaluate,
    State.EVALUATED: _register,
    State.REGISTERED: _report,
    State.KEPT: _keep,
}


def _outcome(
    config: ArrivalConfig,
    lake: Lake,
    look_outcome: Look | None,
    announced: tuple[str, ...] = (),
    worked: tuple[Batch, ...] = (),
) -> ArrivalOutcome:
    waiting = [batch.batch for batch in batches.batches(lake, config.dataset) if batch.state is State.WAITING]
    common = {"dataset": config.dataset, "told": announced, "worked": worked, "waiting": tuple(waiting)}
    if look_outcome is None:
        return ArrivalOutcome(source=config.ingest.source, **common)
    return ArrivalOutcome(
        source=look_outcome.location,
        listed=look_outcome.listed,
        pending=look_outcome.pending,
        missing=look_outcome.missing,
        closed=None if look_outcome.closed is None else look_outcome.closed.batch,
        notes=look_outcome.notes,
        **common,
    )
