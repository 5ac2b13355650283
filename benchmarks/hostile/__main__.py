"""`python -m benchmarks.hostile`: all families, a process each; its table is in docs/lab-notebook/reliability.md."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.hostile.crs import try_crs
from benchmarks.hostile.images import try_images
from benchmarks.hostile.lake_files import try_lake_files
from benchmarks.hostile.memory import try_memory
from benchmarks.hostile.side_files import try_side_files
from benchmarks.hostile.tally import Tally


def _coordinate_systems(folder: Path, seed: int, inputs: int) -> Tally:
    """Codes that agree with the geodesic truth count as answered; those without a position of their own as refused by PROJ."""
    result = try_crs(seed, inputs)
    tally = Tally("coordinate reference systems", tried=result.tried, accepted=result.agreed)
    tally.refused = sum(result.refused.values()) + len(result.no_truth)
    for sentence in result.wrong:
        tally.differs("CRS", sentence)
    return tally


PAGE = Path(__file__).resolve().parents[2] / "docs" / "lab-notebook" / "reliability.md"
BEGIN, END = "<!-- hostile: begin -->", "<!-- hostile: end -->"
LIMIT_GIB, PEAK_GIB = 4, 2.0
# Name, what tries it, and its share of the inputs that are asked for; at least one whole round of each.
FAMILIES: Mapping[str, tuple[Callable[[Path, int, int], Tally], float]] = {
    "pictures": (try_images, 0.65),
    "side_files": (try_side_files, 0.27),
    "lake_files": (try_lake_files, 0.05),
    "memory": (try_memory, 0.0048),
    "crs": (_coordinate_systems, 0.03),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of every change")
    parser.add_argument("--inputs", type=int, default=10_000, help="in all; each family has its share")
    parser.add_argument("--family", choices=FAMILIES, help="only this one, in this process, printed as JSON")
    parser.add_argument("--write", action="store_true", help="put the table into docs/lab-notebook/reliability.md")
    arguments = parser.parse_args()
    if arguments.family:
        print(json.dumps(_tried(arguments.family, arguments.seed, arguments.inputs)))
        return 0
    started = time.monotonic()
    tallies = [_in_a_process(family, arguments.seed, arguments.inputs) for family in FAMILIES]
    table = _table(tallies)
    print(table)
    print(f"{sum(tally['tried'] for tally in tallies)} inputs in {time.monotonic() - started:.0f} s, seed {arguments.seed}")
    if arguments.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    is_clean = not any(
        tally["tracebacks"] or tally["lost"] or tally["wrong"] or tally["peak_gib"] > PEAK_GIB for tally in tallies
    )
    return 0 if is_clean else 1


def _tried(family: str, seed: int, inputs: int) -> dict[str, Any]:
    # Private memory, not addresses: torch's libraries alone take more addresses than this.
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_GIB * 2**30, LIMIT_GIB * 2**30))
    attempt, share = FAMILIES[family]
    with tempfile.TemporaryDirectory(prefix="cvgl-hostile-") as folder:
        return attempt(Path(folder), seed, max(8, round(inputs * share))).as_json()


def _in_a_process(family: str, seed: int, inputs: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.hostile", "--family", family, "--seed", str(seed), "--inputs", str(inputs)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        error = finished.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"{family} ended with {finished.returncode}: {error[0]}", flush=True)
        return {**Tally(family, tracebacks=1).as_json()}
    tally: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    for example in tally["examples"]:
        print(f"{family}: {example}", flush=True)
    return tally


def _table(tallies: list[dict[str, Any]]) -> str:
    names = ("tried", "accepted", "refused", "tracebacks", "lost", "wrong")
    rows = [
        f"| {tally['family']} | " + " | ".join(f"{tally[name]:,}" for name in names) + f" | {tally['peak_gib']:.2f} |"
        for tally in tallies
    ]
    header = "| what | tried | answered | refused with a reason | tracebacks | lost in silence | other values | peak, GiB |"
    return "\n".join(["", header, "|---|--:|--:|--:|--:|--:|--:|--:|", *rows, ""])


if __name__ == "__main__":
    sys.exit(main())
