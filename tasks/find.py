"""References to what is finished in a lake, by the names that people use: dataset, model fingerprint, run."""

from __future__ import annotations

from pathlib import Path

from cvgl.adaptation import read_record
from cvgl.errors import LakeError
from cvgl.lake import Lake, read_schema
from cvgl.types import ArtifactRef


def find_features(lake: Lake, dataset: str, fingerprint: str | None = None) -> ArtifactRef:
    """The descriptors of a dataset under one frozen model.

    Args:
        lake: where to look.
        dataset: name.
        fingerprint: of the model, or its beginning; may be left out when there is one model only.

    Raises:
        LakeError: there are none, or several and nothing says which.
    """
    models = lake.described(dataset)
    chosen = [name for name in models if name.startswith(fingerprint or "")]
    if len(chosen) != 1:
        which = f" under the model {fingerprint}" if fingerprint else ""
        fix = f"say which with --features: {', '.join(models)}" if models else f"run: cvgl extract --dataset {dataset}"
        raise LakeError(f"there are {len(chosen) or 'no'} descriptors of '{dataset}'{which}", where=lake.root, fix=fix)
    return ArtifactRef(kind="features", path=models[chosen[0]], digest=chosen[0], name=dataset)


def find_adapter(lake: Lake, run: str) -> ArtifactRef:
    """The adapter of a run.

    Raises:
        LakeError: there is none.
    """
    folder = lake.adapter(run)
    _check(folder, "adapter.json", run, "cvgl adapt --dataset NAME")
    return ArtifactRef(kind="adapter", path=folder, digest=read_record(folder).tensors_sha256, name=run)


def find_evaluation(lake: Lake, run: str) -> ArtifactRef:
    """The evaluation of a run.

    Raises:
        LakeError: there is none.
    """
    folder = lake.evaluation(run)
    _check(folder, "metrics.parquet", run, f"cvgl evaluate {run}")
    metadata = read_schema(folder / "metrics.parquet").metadata or {}
    return ArtifactRef(kind="evaluation", path=folder, digest=metadata.get(b"inputs", b"").decode(), name=run)


def _check(folder: Path, proof: str, run: str, how: str) -> None:
    if not (folder / proof).is_file():
        names = ", ".join(sorted(path.parent.name for path in folder.parent.glob(f"*/{proof}"))) or "none"
        raise LakeError(f"the run '{run}' is not there", where=folder, fix=f"runs that are: {names}; or make it with: {how}")
