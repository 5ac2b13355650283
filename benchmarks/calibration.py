"""Learns the calibration of predicted R@1 from made-up worlds and writes cvgl/quality/calibration.json.

    python -m benchmarks.calibration --lake FOLDER [--synthetic 130] [--check]

Built-in worlds (`cvgl.experiments.judgement_worlds.CALIBRATION`), each under six corruptions, and worlds of the two-covariance
family, each under two. No real image has a part in it. `--check` only tells how the calibration that is there does on the
worlds that are kept for tests. Rows are kept in the lake, so that a run that was killed goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cvgl.experiments.judgement_calibration import Row, error_of, learn, rows_of
from cvgl.experiments.judgement_cases import Case, corruptions, synthetic
from cvgl.experiments.judgement_worlds import CALIBRATION, TESTED, describe
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, write_json
from cvgl.quality.prediction import CALIBRATION_FILE, calibration
from cvgl.quality.scores import IMPLEMENTATION

WORLD_CORRUPTIONS, SYNTHETIC_CORRUPTIONS, TEST_CORRUPTIONS = 6, 2, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, required=True, help="where descriptors and rows are kept")
    parser.add_argument("--synthetic", type=int, default=130, help="worlds of the two-covariance family")
    parser.add_argument("--check", action="store_true", help="learn nothing")
    arguments = parser.parse_args()
    lake = Lake.at(arguments.lake)
    if not arguments.check:
        rows = [*_worlds(lake), *_synthetic(lake, arguments.synthetic)]
        write_json(CALIBRATION_FILE, learn(rows).model_dump(mode="json"))
        print(f"written to {CALIBRATION_FILE}: {len(rows)} rows")
        calibration.cache_clear()
    tested = [
        row
        for number, (name, config) in enumerate(TESTED.items())
        for row in _rows(lake, f"tested-{name}", partial(describe, name, config, lake), TEST_CORRUPTIONS, number, "world")
    ]
    print(f"on worlds kept for tests: {error_of(calibration(), tested)}")


def _worlds(lake: Lake) -> Iterator[Row]:
    for number, (name, config) in enumerate(CALIBRATION.items()):
        yield from _rows(lake, name, partial(describe, name, config, lake), WORLD_CORRUPTIONS, number, "world")


def _synthetic(lake: Lake, count: int) -> Iterator[Row]:
    for seed in range(count):
        yield from _rows(lake, f"synthetic-{seed}", partial(synthetic, seed), SYNTHETIC_CORRUPTIONS, seed, "synthetic")


def _rows(lake: Lake, name: str, make: Callable[[], Case], count: int, seed: int, source: str) -> list[Row]:
    path = lake.root / "reproductions" / "calibration" / f"{digest_json([IMPLEMENTATION, name, count, seed])[:16]}.json"
    if not path.is_file():
        rows = [row for case in corruptions(make(), count, seed) for row in rows_of(case, source)]
        write_json(path, [row.model_dump(mode="json") for row in rows])
        print(f"  {name}: {len(rows)} rows", flush=True)
    return [Row.model_validate(row) for row in read_json(path)]


if __name__ == "__main__":
    main()
