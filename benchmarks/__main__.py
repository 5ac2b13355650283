"""`make bench`: measures every ratio in one run and writes docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from benchmarks import adaptation, evaluation, extraction
from benchmarks.measure import Ratio

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BENCHMARKS = (
    adaptation.em_iteration,
    evaluation.drone_to_satellite,
    evaluation.satellite_to_drone,
    extraction.overlapped_decoding,
)


def main() -> None:
    ratios = []
    for benchmark in BENCHMARKS:
        ratio = benchmark()
        print(f"{ratio.name}: {ratio.ratio:.2f} x {ratio.floor} ({ratio.ours_s:.2f} s)", flush=True)
        ratios.append(ratio)
    PAGE.write_text(_page(ratios))
    print(f"written to {PAGE}")


def _page(ratios: list[Ratio]) -> str:
    rows = [
        f"| {r.name} | {r.floor} | {r.ours_s:.3f} | {r.floor_s:.3f} | **{r.ratio:.2f}** | {r.low:.2f}-{r.high:.2f} |"
        for r in ratios
    ]
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
        ]
    )


if __name__ == "__main__":
    main()
