"""What a batch came to, for people: what was refused of it, and where its images lie on the map that serves.

No label is used, and none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.arrival.staging import Spool
from cvgl.ingestion.tables import read_quarantine
from cvgl.lake import Lake, parquet_files, read_parquet
from cvgl.stages.gallery_assignment import Whereabouts
from cvgl.stages.gallery_assignment import whereabouts as places_of


def refused(lake: Lake, batch: Batch) -> list[dict[str, Any]]:
    """The files of a batch that are refused at present, or could not be described: `uri`, `reason`, `detail`, by name.

    Here `uri` is the path relative to the source.

    Raises:
        LakeError: the record of the batch or the quarantine is damaged.
    """
    brought = batches.contents(lake, batch).files
    root, paths = Path(batch.source), {name: name for name in brought}
    names: dict[str, str] = {}
    if "://" in batch.source:
        spool = Spool.of(lake, batch.dataset, batch.source)
        through = batches.ledger(lake, batch.dataset, batch.source, batch.number)
        root, paths = spool.tree, spool.paths(name for name, sha256 in through.items() if sha256)
        names = {f"{batch.source}/{name}": name for name in brought}  # those that could not be had
    names |= {str(root / paths[name]): name for name in brought if name in paths}
    rows = read_quarantine(lake, batch.dataset).to_pylist()
    failures = lake.quarantine(batch.dataset) / "extract"
    rows += [row for path in parquet_files(failures) for row in read_parquet(path, kind="quarantine").to_pylist()]
    refusals = {
        names[row["uri"]]: {"uri": names[row["uri"]], "reason": row["reason"], "detail": row["detail"]}
        for row in rows
        if row["uri"] in names
    }
    return [refusals[name] for name in sorted(refusals)]


def whereabouts(lake: Lake, batch: Batch) -> Whereabouts | None:
    """The map that serves, with what the batch has brought to it; None where no map serves.

    Raises:
        LakeError: the map or the descriptors are damaged.
    """
    return places_of(lake, batch.dataset, batches.new_ids(lake, batch))
