"""From an evaluation on University-160k's challenge to the file that is handed in.

The names of the challenge are masked, so the evaluation has answers and no figures. The file needs them in the order of the
challenge's list of queries, every query answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cvgl.datasets.university160k import NAMES, QUERIES, find_part, read_query_names
from cvgl.errors import DataError, LakeError
from cvgl.evaluation.evaluate import QUERIES_FILE
from cvgl.hashing import IMAGE_ID_LENGTH, sha256_file
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_parquet
from cvgl.retrieval.answers import DEPTH, write_answers
from cvgl.types import Direction, Representation, View

PROTOCOL = "university160k-official"


def write_answer_file(
    run: str,
    source: Path,
    lake: Lake,
    path: Path,
    *,
    stage: Representation = Representation.ADAPTED,
    depth: int = DEPTH,
    separator: str = " ",
    with_endings: bool = False,
) -> Path:
    """Writes one line a query, in the order of the challenge's list: the names of its best answers, best first.

    Args:
        run: an adapter that has been evaluated under the protocol ``university160k-official``.
        source: the challenge's folder, with its list of queries.
        lake: where the run is.
        path: of the file; it appears whole or not at all.
        stage: whose answers.
        depth: answers a query.
        separator: between names.
        with_endings: names as the files have them, not without their endings.

    Returns:
        The path.

    Raises:
        LakeError: the run has not been evaluated so.
        DataError: the list is missing, a query of it has no answers, or there are fewer answers than are asked for.
    """
    answers, dataset = _answers(run, lake, stage)
    images = read_images(lake, dataset).select(["image_id", "uri", "view"]).to_pylist()
    id_of_name = {Path(row["uri"]).name: row["image_id"] for row in images if row["view"] == View.DRONE}
    references = {row["image_id"]: Path(row["uri"]) for row in images if row["view"] == View.SATELLITE}
    wanted = _query_names(source)
    ids = [_image_id(name, source, id_of_name) for name in wanted]
    silent = [name for name, image_id in zip(wanted, ids, strict=True) if len(answers.get(image_id, ())) < depth]
    if silent:
        raise DataError(
            f"{len(silent)} queries of the list have fewer than {depth} answers, the first is {silent[0]}",
            where=source,
            fix="look into the quarantine (cvgl query 'FROM quarantine'), mend what is in it, and run again",
        )
    used = sorted({answer for image_id in ids for answer in answers[image_id][:depth]})
    columns = {answer: column for column, answer in enumerate(used)}
    index = np.array([[columns[answer] for answer in answers[image_id][:depth]] for image_id in ids], np.int64)
    names = [references[answer].name if with_endings else references[answer].stem for answer in used]
    write_answers(path, names, index, depth=depth, separator=separator)
    return path


def _answers(run: str, lake: Lake, stage: Representation) -> tuple[Mapping[str, list[str]], str]:
    """Best answers by query, and the data set that was asked."""
    direction = str(Direction(View.DRONE, View.SATELLITE))
    rows: list[dict[str, Any]] = read_parquet(
        lake.evaluation(run) / QUERIES_FILE,
        columns=["dataset", "stage", "direction", "protocol", "image_id", "top_ids"],
        kind="queries",
    ).to_pylist()
    wanted = [row for row in rows if (row["stage"], row["direction"], row["protocol"]) == (stage, direction, PROTOCOL)]
    if not wanted:
        raise LakeError(
            f"the run has no answers of the stage {stage} under {PROTOCOL}",
            where=lake.evaluation(run),
            fix=f"cvgl evaluate {run} --protocol {PROTOCOL}",
        )
    return {row["image_id"]: row["top_ids"] for row in wanted}, str(wanted[0]["dataset"])


def _query_names(source: Path) -> list[str]:
    names = read_query_names(source)
    if not names:
        raise DataError(f"{NAMES} is not there, which says in what order to answer", where=source, fix="put it there")
    return names


def _image_id(name: str, source: Path, id_of_name: Mapping[str, str]) -> str:
    """A query's id; one whose bytes another query has too goes by that one's name in the lake."""
    if name in id_of_name:
        return id_of_name[name]
    folder = find_part(source, QUERIES)
    path = (
        None if folder is None else next((candidate for candidate in sorted(folder.rglob("*")) if candidate.name == name), None)
    )
    return "" if path is None else sha256_file(path)[:IMAGE_ID_LENGTH]
