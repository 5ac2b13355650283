"""`python -m benchmarks.chaos`: the long run; its figures are in docs/lab-notebook/reliability.md."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.chaos.drive import Driver, Plan
from benchmarks.chaos.faults import can_mount


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="processes that are killed at least")
    parser.add_argument("--seed", type=int, default=0, help="of every moment and choice")
    parser.add_argument("--pace", type=float, default=1.0, help="stretches the time between kills; more on a busy machine")
    parser.add_argument("--minutes", type=float, default=120.0, help="after so long nothing more is killed")
    parser.add_argument("--faults", type=int, default=3, help="rounds of full disk, source away, damaged part")
    parser.add_argument("--batches", type=int, default=3, help="that arrive at least; more come until all is done")
    parser.add_argument("--folder", type=Path, help="a new folder, which is kept; default: a temporary one")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("chaos").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started and mounted is cleared away
    mounted = can_mount()
    if not mounted:
        print("no small disk can be mounted here (it needs root): no disk is filled", flush=True)
    kinds = ["source", "part", "disk"] if mounted else ["source", "part"]
    plan = Plan(
        kills=arguments.kills,
        faults=kinds * arguments.faults,
        batches=arguments.batches,
        flights=max(24, arguments.batches),
        longest=arguments.minutes * 60,
        seed=arguments.seed,
        delays=(60.0 * arguments.pace, 40.0 * arguments.pace),
    )
    with tempfile.TemporaryDirectory(prefix="cvgl-chaos-") as temporary:
        outcome = Driver(arguments.folder or Path(temporary), plan, mounted=mounted).run()
    print(outcome, flush=True)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
