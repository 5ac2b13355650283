"""`make bench`: measures every ratio and every peak of memory in one run and writes docs/lab-notebook/benchmarks.md."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from benchmarks import adaptation, early_exit, evaluation, extraction
from benchmarks.early_exit import EarlyExit
from benchmarks.measure import Memory, Ratio

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lab-notebook" / "benchmarks.md"
BENCHMARKS = (
    adaptation.em_iteration,
    adaptation.em_iteration_in_blocks,
    adaptation.released_iteration,
    adaptation.large_references,
    evaluation.drone_to_satellite,
    evaluation.satellite_to_drone,
    evaluation.large_gallery_time,
    evaluation.large_gallery_memory,
    extraction.overlapped_decoding,
    early_exit.small_on_the_cpu,
    early_exit.giant_on_the_gpu,
)


def main() -> None:
    ratios: list[Ratio] = []
    memories: list[Memory] = []
    exits: list[EarlyExit] = []
    for benchmark in BENCHMARKS:
        row = benchmark()
        if row is None:  # needs what this machine has not
            continue
        print(_line(row), flush=True)
        if isinstance(row, Ratio):
            ratios.append(row)
        elif isinstance(row, EarlyExit):
            exits.append(row)
        else:
            memories.append(row)
    PAGE.write_text(_page(ratios, memories, exits))
    print(f"written to {PAGE}")


def _line(row: Ratio | Memory | EarlyExit) -> str:
    if isinstance(row, EarlyExit):
        verdict = "at least" if row.ratio >= early_exit.BOUND else "BELOW"
        return f"{row.name} on {row.device}: whole / ours {row.ratio:.2f}, {verdict} {early_exit.BOUND}"
    if isinstance(row, Ratio):
        return f"{row.name}: {row.ratio:.2f} x {row.floor} ({row.ours_s:.2f} s)"
    verdict = "within" if row.ours_gib <= row.limit_gib else "ABOVE"
    return f"{row.name}: {row.ours_gib:.2f} GiB, {verdict} {row.limit_gib:g} GiB ({row.floor}: {row.floor_gib:.2f} GiB)"


def _page(ratios: list[Ratio], memories: list[Memory], exits: list[EarlyExit]) -> str:
    rows = [
        f"| {r.name} | {r.floor} | {r.ours_s:.3f} | {r.floor_s:.3f} | **{r.ratio:.2f}** | {r.low:.2f}-{r.high:.2f} |"
        for r in ratios
    ]
    peaks = [f"| {m.name} | {m.floor} | **{m.ours_gib:.2f}** | {m.floor_gib:.2f} | {m.limit_gib:g} |" for m in memories]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`. Each row times our code and what it is held against in turn, in one process; the ratio",
            "is the median over pairs, so it holds when the machine's speed drifts. Seconds are medians and belong to the",
            f"machine: {os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__} with "
            f"{torch.get_num_threads()} threads.",
            "",
            "| work | held against | ours, s | that, s | ratio | smallest-largest |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *early_exit.table(exits),
            "",
            "## Memory",
            "",
            "Peak resident memory of a process that does the work and nothing else, Python and libraries included.",
            "",
            "| work | held against | ours, GiB | that, GiB | limit, GiB |",
            "|---|---|---|---|---|",
            *peaks,
            "",
        ]
    )


if __name__ == "__main__":
    main()
