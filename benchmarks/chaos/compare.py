"""Whether two lakes, and two registries, hold the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cvgl.arrival import batches
from cvgl.hashing import IMAGE_ID_LENGTH, sha256_file
from cvgl.ingestion.tables import image_batches
from cvgl.lake import TEMPORARY_PREFIX, Lake, parquet_files, read_parquet

BYTES = (
    *("images", "ground_truth", "quarantine", "tombstones", "adapters", "evaluations"),
    *("arrivals", "maps", "gate", "registrations"),
)
# What a run's figures in the registry say of where and when it ran.
_OF_A_PLACE = ("cvgl.model_id", "cvgl.contents")
_PREDICTED = ("predicted_seconds", "predicted_bytes")  # of a decision: what earlier steps were measured to take


def lakes(first: Lake, other: Lake) -> list[str]:
    """What differs, a line each; nothing where every table, adapter, evaluation, batch and map is the same, byte by byte.

    Descriptors are compared image by image, as a part that was damaged may have been written anew together with others.
    """
    ours, theirs = _files(first), _files(other)
    differ = [f"only in one: {name}" for name in sorted(ours.keys() ^ theirs.keys())]
    differ += [f"not the same: {name}" for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    if _descriptors(first) != _descriptors(other):
        differ.append("not the same: descriptors")
    if _decisions(first) != _decisions(other):
        differ.append("not the same: decisions")
    return differ


def compared(lake: Lake) -> int:
    """How many files are compared byte by byte."""
    return len(_files(lake))


def lost_and_duplicated(lake: Lake, dataset: str, came: set[str]) -> tuple[int, int]:
    """Images that came and are not there or have no descriptor, and those that were counted more than once."""
    wanted = {sha256[:IMAGE_ID_LENGTH] for sha256 in came}
    rows = [image_id for name in image_batches(lake, dataset) for image_id in _ids(lake.images(dataset) / f"{name}.parquet")]
    described = [image_id for part in _parts(lake) for image_id in _ids(part)]
    counted = sum(int(str(batch.ingest.get("new", 0))) for batch in batches.batches(lake, dataset))
    lost = len(wanted - set(rows)) + len(wanted - set(described))
    twice = max(0, counted - len(set(rows))) + len(described) - len(set(described)) + len(set(rows) - wanted)
    return lost, twice


def untold(lake: Lake, dataset: str) -> list[str]:
    """Batches that nobody was told the end of."""
    return [f"nobody was told what became of {batch.batch}" for batch in batches.unreported(lake, dataset)]


def temporary(lake: Lake) -> list[str]:
    """Temporary files that are left."""
    paths = [path for pattern in (f"{TEMPORARY_PREFIX}*", ".building", "*.part") for path in lake.root.rglob(pattern)]
    return sorted(str(path.relative_to(lake.root)) for path in paths)


def registry(address: str, folder: Path) -> dict[str, Any]:
    """What a registry says, without times, addresses and ids that it draws by lot.

    Args:
        address: of MLflow's server.
        folder: where the models' files may be put.
    """
    import mlflow

    client = mlflow.MlflowClient(address, address)
    content: dict[str, Any] = {"runs": [], "models": {}}
    experiments = [experiment for experiment in client.search_experiments() if experiment.name != "Default"]
    for run in client.search_runs([experiment.experiment_id for experiment in experiments], max_results=1000):
        tags = {name: value for name, value in run.data.tags.items() if name.startswith("cvgl.") and name not in _OF_A_PLACE}
        content["runs"].append([tags.get("cvgl.run"), run.info.status, sorted(run.data.params.items()), run.data.metrics])
    content["runs"].sort(key=lambda run: str(run[0]))
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'", max_results=1000)
        content["models"][model.name] = {
            "aliases": dict(sorted(model.aliases.items())),
            "versions": [
                _version(experiment, address, folder)
                for experiment in sorted(versions, key=lambda experiment: int(experiment.version))
            ],
        }
    return json.loads(json.dumps(content, sort_keys=True))  # type: ignore[no-any-return]


def _version(version: Any, address: str, folder: Path) -> dict[str, Any]:
    import mlflow

    tags = {name: value for name, value in version.tags.items() if name not in _OF_A_PLACE}
    target = folder / version.name / str(version.version)
    target.mkdir(parents=True)
    mlflow.set_tracking_uri(address)
    got = Path(mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}", dst_path=str(target)))
    files = {path.name: sha256_file(path) for path in sorted(got.rglob("adapter*.*")) if path.is_file()}
    return {"version": str(version.version), "tags": tags, "files": files}


def _files(lake: Lake) -> dict[str, str]:
    return {
        str(path.relative_to(lake.root)): sha256_file(path)
        for folder in BYTES
        for path in sorted((lake.root / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _parts(lake: Lake) -> list[Path]:
    return [part for folder in sorted((lake.root / "features").glob("model=*/dataset=*")) for part in parquet_files(folder)]


def _ids(path: Path) -> list[str]:
    return [str(image_id) for image_id in read_parquet(path, ["image_id"]).column("image_id").to_pylist()]


def _descriptors(lake: Lake) -> dict[str, list[float]]:
    descriptors: dict[str, list[float]] = {}
    for part in _parts(lake):
        table = read_parquet(part)
        names = [f"{part.parent.parent.name}/{image_id}" for image_id in table.column("image_id").to_pylist()]
        descriptors.update(zip(names, table.column("descriptor").to_pylist(), strict=True))
    return descriptors


def _decisions(lake: Lake) -> list[dict[str, Any]]:
    rows = [row for path in sorted((lake.root / "decisions").rglob("*.parquet")) for row in read_parquet(path).to_pylist()]
    return [{name: value for name, value in row.items() if name not in _PREDICTED} for row in rows]
