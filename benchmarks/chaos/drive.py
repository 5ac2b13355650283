"""Drives the arrival flow through flights and removals while it is killed and disturbed at random moments from a seed."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.chaos import compare, faults
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.services import ROOT, Service, Services, free_port, running, settings, until
from benchmarks.chaos.town import DATASET, Town
from cvgl.arrival import batches
from cvgl.lake import Lake

logger = logging.getLogger("chaos")
# Who is killed, in proportion. A flow does not outlive its worker or server for long; the registry's server it waits for.
VICTIMS = ({"flow": 5, "worker": 2, "server": 2}, {"mlflow": 1})
# What shows in the logs that a kill was noticed, or what was done about it. Of a process that had ended its run when it was
# killed, and of one whose worker was dead too, only the next one tells.
NOTICED = {
    "flow": r"exited with status code: -9|was killed; going on with|submitting flow run",
    "worker": r"Worker '.*' started",
    "server": r"Uvicorn running|Application startup complete|Configure Prefect to communicate",
    "mlflow": r"Uvicorn running|Application startup complete",
}
TICK = 0.2
SECONDS_UNTOLD = 600.0  # a fault that no log tells of is ended, and counts against the run
SECONDS_FOR_A_RUN = 40.0  # from asking for one until its process is seen


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos.

    Attributes:
        kills: how many processes are killed at least.
        faults: kinds, one after another; each waits until the one before has been seen.
        batches: that arrive at least.
        flights: that can arrive at most.
        longest: seconds after which nothing more is killed.
        seed: of every moment and choice.
        delays: seconds that a victim works before it is killed, at most, for each of `VICTIMS`.
    """

    kills: int
    faults: Sequence[str]
    batches: int
    flights: int
    longest: float
    seed: int = 0
    delays: tuple[float, float] = (60.0, 40.0)


@dataclass(slots=True)
class Outcome:
    """What it came to."""

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    batches: int = 0
    images: int = 0
    lost: int = 0
    duplicated: int = 0
    differences: list[str] = field(default_factory=list)
    temporary: list[str] = field(default_factory=list)
    files: int = 0
    runs: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicated or self.differences or self.temporary or self.unseen)

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        broken = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        lines = [
            f"kills {self.kills.total()} ({kinds}), faults {self.faults.total()} ({broken}), batches {self.batches}, "
            f"images {self.images}, lost {self.lost}, duplicated {self.duplicated}, bytes "
            f"{'NOT equal' if self.differences else f'equal ({self.files} files)'}, temporary files {len(self.temporary)}, "
            f"not in the log {len(self.unseen)}; {self.runs} runs of the flow, {self.seconds:.0f} s"
        ]
        return "\n  ".join([*lines, *self.differences[:40], *self.temporary, *self.unseen])


class Driver:
    """One run of chaos in a folder.

    Args:
        root: new or empty; everything is below.
        plan: how much.
        mounted: the lake lies on a small disk of its own, which can be filled.
    """

    def __init__(self, root: Path, plan: Plan, *, mounted: bool) -> None:
        self.root, self.plan = root, plan
        self.lake, self.calm = Lake.at(root / "lake"), Lake.at(root / "calm")
        self.town = Town(root / "town", root / "drop", plan.flights)
        self.mounted = mounted
        uri = f"http://127.0.0.1:{free_port()}"
        self.config = settings(self.lake, self.town.drop, uri, DATASET)
        self.services = Services(root / "services", self.lake, self.town.drop, self.config, f"{os.getpid()}-{time.time()}")
        self.rng = random.Random(plan.seed)
        self.outcome = Outcome()
        self.asked = -SECONDS_FOR_A_RUN
        self.fault: tuple[Fault, int, float] | None = None
        self.noticing: list[tuple[str, str, Path, int]] = []
        self.left = list(plan.faults)
        self.known: set[int] = set()
        self.ticked = time.monotonic()

    def run(self) -> Outcome:
        """Chaos, then calm, then the comparison."""
        begun = time.monotonic()
        self.town.draw()
        self.town.clear()
        if self.mounted:
            faults.mount(self.lake.root)
        try:
            with running(self.services):
                self._disturb()
                self.outcome.seconds = time.monotonic() - begun
                self._notice(last=True)
                chaotic = compare.registry(self.config["registry"]["tracking_uri"], self.root / "models")
                self._leave_alone(chaotic)
                self._compare()
        finally:
            if self.mounted:
                faults.unmount(self.lake.root)
        return self.outcome

    # Chaos.

    def _disturb(self) -> None:
        begun = self.ticked = time.monotonic()
        timers = [self._next_victim(among) for among in range(len(VICTIMS))]
        quiet = False
        while True:
            enough = self.outcome.kills.total() >= self.plan.kills or time.monotonic() - begun > self.plan.longest
            self.services.revive()
            flows = self.services.flows()
            self._count(flows)
            self._keep_running(flows)
            if self._rests(flows):
                if quiet:
                    return
                # The last one is left in peace, so that whatever is damaged is found.
                enough = enough or self.town.arrived + 2 > self.town.flights
                quiet = enough and not self.left and self.town.arrived + 1 >= self.plan.batches and self.town.arrived % 3 != 2
                quiet = quiet or (self.town.arrived + 1 >= self.town.flights)
                self._arrive()
            elif not quiet:
                self._break(flows)
            self._mend()
            self._notice()
            if not enough and not quiet:
                timers = [self._ticked(among, timer, flows) for among, timer in enumerate(timers)]
            self.ticked = time.monotonic()
            time.sleep(TICK)

    def _next_victim(self, among: int) -> tuple[str, float]:
        victim = self.rng.choices(list(VICTIMS[among]), list(VICTIMS[among].values()))[0]
        return victim, self.rng.uniform(0.0, self.plan.delays[among])

    def _ticked(self, among: int, timer: tuple[str, float], flows: Sequence[psutil.Process]) -> tuple[str, float]:
        """A timer a tick later; it stands still while there is nothing to be killed that works."""
        victim, due = timer
        if not (flows if victim == "flow" else self.services.all[victim].is_up()):
            return timer
        due -= time.monotonic() - self.ticked
        if due > 0:
            return victim, due
        self._kill(victim, flows)
        return self._next_victim(among)

    def _kill(self, victim: str, flows: Sequence[psutil.Process]) -> None:
        if victim == "flow":
            log, process = self.services.all["worker"].log, self.rng.choice(list(flows))
            try:
                process.kill()
            except psutil.Error:
                return
        else:
            service = self.services.all[victim]
            log = service.log
            service.kill()
        self.outcome.kills[victim] += 1
        self.asked = -SECONDS_FOR_A_RUN  # whatever it was about to start will not
        states = [str(batch.state) for batch in batches.batches(self.lake, DATASET)][-1:]
        logger.info("kill %d: %s, with the newest batch %s", self.outcome.kills.total(), victim, *states or ["not closed"])
        self.noticing.append((f"kill of the {victim}", NOTICED[victim], log, _size(log)))

    def _break(self, flows: Sequence[psutil.Process]) -> None:
        if self.fault is not None or not self.left or not flows or self.rng.random() > TICK / 8:
            return
        made = self._make(self.left[0])
        if made is not None:
            kind = self.left.pop(0)
            self.outcome.faults[kind] += 1
            self.fault = (made, _size(self.services.all["worker"].log), time.monotonic() + self.rng.uniform(1, 4))
            logger.info("fault %d: %s", self.outcome.faults.total(), made.said)

    def _make(self, kind: str) -> Fault | None:
        if kind == "disk":
            return faults.full_disk(self.lake)
        if kind == "part":
            return faults.damaged_part(self.lake, self.rng)
        return faults.source_away(self.town.drop, self.rng, expected=bool(batches.batches(self.lake, DATASET)))

    def _mend(self) -> None:
        """Ends a fault when the log has told of it; a damaged part is the flow's to mend."""
        if self.fault is None:
            return
        fault, offset, until_then = self.fault
        log = self.services.all["worker"].log
        if fault.kind == "part":
            self.noticing.append((fault.said, fault.seen, log, offset))
        elif not _found(log, offset, fault.seen):
            if time.monotonic() < until_then + SECONDS_UNTOLD:
                return
            self.outcome.unseen.append(f"not in the log: {fault.said}")
        elif time.monotonic() < until_then:
            return
        fault.mend()
        if fault.kind != "part":
            logger.info("mended: %s", fault.said)
        self.fault = None

    def _notice(self, *, last: bool = False) -> None:
        left = [notice for notice in self.noticing if not _found(notice[2], notice[3], notice[1])]
        self.noticing = left
        if last:
            self.outcome.unseen += [f"not in the log: {name}" for name, *_ in left]

    def _keep_running(self, flows: Sequence[psutil.Process]) -> None:
        waiting = time.monotonic() - self.asked < SECONDS_FOR_A_RUN
        if flows:
            self.asked = -SECONDS_FOR_A_RUN
        elif not waiting and not self._done() and self.services.submit():
            self.asked = time.monotonic()

    def _count(self, flows: Sequence[psutil.Process]) -> None:
        self.known |= {process.pid for process in flows}
        self.outcome.runs = len(self.known)

    def _done(self) -> bool:
        queue = batches.batches(self.lake, DATASET)
        return len(queue) >= self.town.arrived and not any(batch.is_open for batch in queue)

    def _rests(self, flows: Sequence[psutil.Process]) -> bool:
        return self._done() and not flows and self.fault is None

    def _arrive(self) -> None:
        logger.info("batch %d: %s", self.town.arrived + 1, self.town.next())

    # Calm.

    def _leave_alone(self, chaotic: object) -> None:
        """The same batches in the same folder, into another lake and registry."""
        for name in ("worker", "mlflow"):
            self.services.all[name].kill()
        uri = f"http://127.0.0.1:{free_port()}"
        mlflow: Service = self.services.mlflow("calm-mlflow", uri)
        mlflow.revive()
        until(mlflow.answers, "the second MLflow server does not answer")
        self.outcome.batches = self.town.arrived
        request = {
            "town": str(self.town.root),
            "drop": str(self.town.drop),
            "flights": self.plan.flights,
            "batches": self.town.arrived,
            "config": settings(self.calm, self.town.drop, uri, DATASET),
        }
        file = self.root / "calm.json"
        file.write_text(json.dumps(request))
        with (self.root / "services" / "logs" / "calm.log").open("wb") as log:
            command = [sys.executable, "-m", "benchmarks.chaos.calm", str(file)]
            subprocess.run(command, cwd=ROOT, env=self.services.environment, stdout=log, stderr=log, check=True)
        if chaotic != compare.registry(uri, self.root / "calm-models"):
            self.outcome.differences.append("not the same: the registries")
            (self.root / "registry.json").write_text(json.dumps(chaotic, indent=1))
            content = compare.registry(uri, self.root / "calm-models-again")
            (self.root / "calm-registry.json").write_text(json.dumps(content, indent=1))

    def _compare(self) -> None:
        outcome, came = self.outcome, self.town.contents()
        outcome.images = len(came)
        outcome.lost, outcome.duplicated = compare.lost_and_duplicated(self.lake, DATASET, came)
        outcome.differences += [*compare.lakes(self.lake, self.calm), *compare.untold(self.lake, DATASET)]
        outcome.temporary = compare.temporary(self.lake)
        outcome.files = compare.compared(self.lake)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _found(path: Path, offset: int, pattern: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as stream:
        stream.seek(offset)
        return re.search(pattern, stream.read().decode(errors="replace")) is not None
