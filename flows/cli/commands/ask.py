"""`cvgl localize` and `cvgl query`: asking what a lake knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from cvgl.config import ExtractConfig
from flows.cli.command import DONE, FAILED, Answer, command
from flows.cli.console import Screen, Verbatim
from flows.cli.legible import escaped_json, json_text
from flows.cli.options import Draft
from flows.cli.settings import DATASET, DEVICE, LAKE

if TYPE_CHECKING:
    from cvgl.localization import Placement


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Pictures = Annotated[list[Path], typer.Argument(metavar="IMG...", help="Images to place.", show_default=False)]
OptionalRun = Annotated[str | None, typer.Option("--run", help="Whose adapter; default: the dataset's champion.")]
TopK = Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Answers for each picture.")]
GeoJson = Annotated[bool, typer.Option("--geojson", help="Print a GeoJSON FeatureCollection.")]
SamePlace = Annotated[bool, typer.Option("--same-place", help="All images show one place: one answer for them.")]
Flight = Annotated[bool, typer.Option("--sequence", help="The images, in the order given, are one flight: its course.")]
Window = Annotated[
    int | None,
    typer.Option("--window", min=1, max=1000, help="With --sequence: place each image by so many, itself the last of them."),
]
Corrected = Annotated[bool, typer.Option("--corrected", help="Correct hubness, with a run of the recipe 'robust'.")]
Jsonl = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object an image, a line each (GeoJSON: a Feature).")]
Sql = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the lake's views; see docs/reference/queries.md.")]
RowFormat = Annotated[Format, typer.Option("--format", help="How the rows are printed.")]
_ROWS_SHOWN, _ROWS_GIVEN = 100, 1_000_000
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=0, help=f"Rows at most; default: {_ROWS_SHOWN} of a table, else {_ROWS_GIVEN}."),
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds that the query may take.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, DATASET, DEVICE, LAKE, example="cvgl localize photo.jpg --dataset town --geojson")(localize)
    command(app, LAKE, example="cvgl query 'SELECT * FROM images LIMIT 5'")(query)


def localize(
    draft: Draft,
    images: Pictures,
    run: OptionalRun = None,
    top_k: TopK = 5,
    same_place: SamePlace = False,
    sequence: Flight = False,
    window: Window = None,
    corrected: Corrected = False,
    geojson: GeoJson = False,
    jsonl: Jsonl = False,
) -> Answer:
    """Tell where images were taken: the best matches of each, their scores and the place of the first."""
    from functools import partial

    from cvgl.localization.placement import to_geojson
    from cvgl.stages import localize as stage
    from flows.cli.tables import placements_table

    _refuse_combinations(same_place=same_place, sequence=sequence, window=window, corrected=corrected)
    place: Callable[..., Sequence[Placement]] = stage.localize_together if same_place else stage.localize
    place = partial(stage.localize_sequence, window=window) if sequence else partial(place, corrected=corrected)
    device = draft.section("extract", ExtractConfig).device
    screen = Screen()
    with screen.live():
        placements = place(images, draft.dataset, draft.lake, run=run, top_k=top_k, device=device)
    collection = to_geojson(placements) if geojson else None
    value = collection or {"placements": [placement.model_dump(mode="json") for placement in placements]}
    rendered: RenderableType | Verbatim = placements_table(placements)
    if jsonl:
        rows = value["features" if geojson else "placements"]
        rendered = Verbatim("\n".join(map(json_text, rows)))
    elif geojson:
        rendered = Verbatim(json_text(collection))
    return Answer(value, rendered, DONE if any(placement.placed for placement in placements) else FAILED)


def _refuse_combinations(*, same_place: bool, sequence: bool, window: int | None, corrected: bool) -> None:
    """Raises a typer.BadParameter for options that do not go together."""
    if same_place and sequence:
        raise typer.BadParameter("images are of one place (--same-place) or of one flight (--sequence)")
    if window is not None and not sequence:
        raise typer.BadParameter("--window goes with --sequence")
    if corrected and sequence:
        raise typer.BadParameter("--sequence corrects hubness by the flight itself: leave --corrected out")


def query(draft: Draft, sql: Sql, row_format: RowFormat = Format.TABLE, limit: Limit = None, timeout: Timeout = 60.0) -> Answer:
    """Ask the lake in SQL: images, locations, features, runs, metrics, queries and a few ready views."""
    import json

    from cvgl.catalog import Readable, run_query, to_csv, to_json

    is_table = row_format is Format.TABLE and not draft.as_json
    most = limit if limit is not None else _ROWS_SHOWN if is_table else _ROWS_GIVEN
    result = run_query(draft.lake, sql, most, timeout, count_more=is_table)
    rendered: RenderableType | Verbatim = Readable(result)
    if row_format is not Format.TABLE and result.truncated:
        Screen().console.print(f"only the first {len(result.rows)} rows are given (--limit)", markup=False)
    if row_format is Format.CSV:
        rendered = Verbatim(to_csv(result).rstrip("\n"))
    elif row_format is Format.JSON:
        rendered = Verbatim(escaped_json(to_json(result).rstrip("\n")))
    rows = json.loads(to_json(result)) if is_table or draft.as_json else []
    return Answer({"rows": rows, "truncated": result.truncated}, rendered)
