"""What looks of each tile, and cells of each image, are worth on real flights; the figures of docs/lab-notebook/robust.md.

    python -m benchmarks.looks --shared ../shared --lake FOLDER [--date 2014-01] [--cells 2] [--size 100 --size 200] [--turns 8]

Frames of Flight1 and the looks of one map are learned from, single frames and windows of Flight2 asked about. Descriptors are
computed by the stages of the pipeline, and only once: a killed run goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cvgl import adapt
from cvgl.adaptation import DescriptorTransform, frozen
from cvgl.adaptation.standardise import fit
from cvgl.config import AdaptConfig, BackboneConfig, ExtractConfig, IngestConfig
from cvgl.datasets import flights
from cvgl.evaluation.sequence_inference import Sequences
from cvgl.experiments.answering import answer
from cvgl.experiments.configuration import Answering
from cvgl.experiments.material import load_material
from cvgl.ingestion.map_crops import write_map_crops
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest

NEAR_M, WINDOW, PROTOCOL = 50.0, 20, "flights"


def measure(
    shared: Path, lake: Lake, date: str, cells: int, sizes: tuple[float, ...], turns: int
) -> dict[str, dict[str, float]]:
    """Figures in percent and metres, by what was learned and how it was asked."""
    source = shared / "data" / "flights"
    name = f"looks-{date}-{'-'.join(f'{size:g}' for size in sizes)}-{turns}"
    folder = lake.root / "looks" / name
    manifest = flights.write_manifest(source, date, lake.root / "looks" / f"{name}.csv")
    looks = write_map_crops(manifest, source / "maps" / f"{date}.jpg", folder, source, sizes, turns)
    images = ingest(IngestConfig(source=str(looks), dataset=name), lake).ref
    weights = shared / "weights" / "swin_tiny_stage3.safetensors"
    backbone = BackboneConfig(name="swin_tiny_patch4_window7_224", checkpoint=str(weights), cells=cells)
    material = load_material(lake, extract(images, ExtractConfig(backbone=backbone), lake).ref, PROTOCOL)
    training = material.training
    learned: dict[str, DescriptorTransform] = {
        "frozen": frozen(training.queries.shape[1]),
        "view-standardised": fit(training.queries, training.references),
        "robust": adapt(
            training.queries, training.references, config=AdaptConfig(recipe="robust"), sequences=training.sequences
        ),
    }
    examination = next(
        candidate for candidate in material.examinations if not candidate.question.direction.query_view.is_reference
    )
    sequences = Sequences(lake, name, WINDOW)
    recalls = {}
    for label, transform in learned.items():
        for window in (None, WINDOW):
            answers = answer(examination, transform, Answering(window=window), PROTOCOL, sequences)
            recalls[f"{label}, {'single frames' if window is None else f'a window of {window}'}"] = {
                "R@1": 100 * answers.evaluation.recall[1],
                f"within {NEAR_M:g} m": 100 * float((answers.distance <= NEAR_M).mean()),
            }
    return recalls


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.looks", description=str(__doc__).splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/flights and weights")
    parser.add_argument("--lake", type=Path, required=True, help="folder for descriptors, kept for the next run")
    parser.add_argument("--date", default="2014-01", help="of the map")
    parser.add_argument("--cells", type=int, default=2, help="rows and columns of cells of a descriptor")
    parser.add_argument("--size", type=float, action="append", help="side of a look in metres; repeatable (100, 200)")
    parser.add_argument("--turns", type=int, default=8, help="of each look")
    arguments = parser.parse_args()
    sizes = tuple(arguments.size or (100.0, 200.0))
    print(
        json.dumps(
            measure(arguments.shared, Lake.at(arguments.lake), arguments.date, arguments.cells, sizes, arguments.turns),
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
