"""`cvgl localize` and `cvgl query`: asking what a lake knows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from cvgl.config import ExtractConfig
from flows.command import DONE, FAILED, Answer, command
from flows.console import Screen
from flows.options import DATASET, DEVICE, LAKE, Draft


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Pictures = Annotated[list[Path], typer.Argument(metavar="IMG...", help="Pictures to place.", show_default=False)]
OptionalRun = Annotated[str | None, typer.Option("--run", help="Whose adapter; default: the dataset's champion.")]
TopK = Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Answers for each picture.")]
GeoJson = Annotated[bool, typer.Option("--geojson", help="Print a GeoJSON FeatureCollection.")]
Sql = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the lake's views; see docs/queries.md.")]
RowFormat = Annotated[Format, typer.Option("--format", help="How the rows are printed.")]
Limit = Annotated[int | None, typer.Option("--limit", min=0, help="Rows at most; default: all.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, DATASET, DEVICE, LAKE)(localize)
    command(app, LAKE)(query)


def localize(draft: Draft, pictures: Pictures, run: OptionalRun = None, top_k: TopK = 5, geojson: GeoJson = False) -> Answer:
    """Tell where pictures were taken: the best matches of each, their scores and the place of the first."""
    import json

    from rich.text import Text

    from cvgl.localization.placement import to_geojson
    from cvgl.stages.localize import localize as place
    from flows.tables import placements_table

    device = draft.section("extract", ExtractConfig).device
    screen = Screen()
    with screen.live():
        placements = place(pictures, draft.dataset, draft.lake, run=run, top_k=top_k, device=device)
    collection = to_geojson(placements) if geojson else None
    value = collection or {"placements": [placement.model_dump(mode="json") for placement in placements]}
    shown = Text(json.dumps(collection, ensure_ascii=False)) if collection else placements_table(placements)
    return Answer(value, shown, DONE if any(placement.placed for placement in placements) else FAILED)


def query(draft: Draft, sql: Sql, row_format: RowFormat = Format.TABLE, limit: Limit = None) -> Answer:
    """Ask the lake in SQL: images, scenes, features, runs, metrics, queries and a few ready views."""
    import json

    from rich.text import Text

    from cvgl.catalog import Readable, run_query, to_csv, to_json

    result = run_query(draft.lake, sql, limit)
    shown: RenderableType = Readable(result)
    if row_format is not Format.TABLE:
        shown = Text((to_csv if row_format is Format.CSV else to_json)(result).rstrip("\n"))
    return Answer({"rows": json.loads(to_json(result)), "truncated": result.truncated}, shown)
