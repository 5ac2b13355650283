"""The public set of two drone flights over a town, with satellite tiles of two dates, as a manifest.

    uav.csv      path, flight, frame
    tiles.csv    path, date, tile_id, x_m, y_m, size_m
    truth.csv    path, x_m, y_m, heading_deg, footprint_m, nearest_tile, nearest_tile_offset_m

Protocol "flights": one flight arrives first, unlabelled, and is adapted on together with the tiles of one date; the other
flight is the test, judged by its nearest tile and by metres. Run as
``python -m cvgl.datasets.flights SOURCE DATE MANIFEST`` and ingest with ``--root SOURCE``.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping
from pathlib import Path

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS
from cvgl.ingestion.records import Cell, read_records
from cvgl.lake import write_bytes
from cvgl.types import Subset, View

_COLUMNS = ("path", "view", "subset", "x", "y", "crs", "sequence", "location_id")
Row = Mapping[str, Cell]


def write_manifest(
    source_folder: Path, date: str, out_path: Path, adapt_flight: str = "Flight1", test_flight: str = "Flight2"
) -> Path:
    """Writes the manifest of one date.

    Frames of the first flight carry no label at all. Frames of the test flight are queries and, for the other direction,
    a gallery; tiles serve adaptation, are a gallery, and are asked for. All tiles have the same roles: which of them a test
    frame shows is a label, so only their location_id tells it, and tiles that none shows have none.

    Args:
        source_folder: holds uav.csv, tiles.csv and truth.csv; the manifest's paths start here.
        date: of the tiles, for example ``"2014-01"``.
        out_path: a CSV; outside of `source_folder`, ingestion has to be told the root.
        adapt_flight: column `flight` of the frames to adapt on.
        test_flight: column `flight` of the frames to evaluate.

    Raises:
        DataError: a table is missing or lacks a column, or no tile or frame has this date or flight.
    """
    frames = _rows(source_folder / "uav.csv", ("path", "flight"))
    tiles = _rows(source_folder / "tiles.csv", ("path", "date", "tile_id", "x_m", "y_m"))
    truth = {row["path"]: row for row in _rows(source_folder / "truth.csv", ("path", "x_m", "y_m", "nearest_tile"))}
    tiles = _with(tiles, "date", date, source_folder)
    adapted = _with(frames, "flight", adapt_flight, source_folder)
    tested = _with(frames, "flight", test_flight, source_folder)
    absent = [str(frame["path"]) for frame in tested if frame["path"] not in truth]
    if absent:
        raise DataError(f"{absent[0]} has no row", where=source_folder / "truth.csv", fix="fetch the set again")
    nearest_tiles = {truth[frame["path"]]["nearest_tile"] for frame in tested}
    rows = [
        *(_row(frame, View.DRONE, Subset.TRAIN) for frame in adapted),
        *(
            _row(frame, View.DRONE, Subset.GALLERY, Subset.QUERY) | _place(truth[frame["path"]], "nearest_tile")
            for frame in tested
        ),
        *(
            _row(tile, View.SATELLITE, Subset.GALLERY, Subset.QUERY, Subset.TRAIN)
            | _place(tile, "tile_id")
            | ({} if tile["tile_id"] in nearest_tiles else {"location_id": None})
            for tile in tiles
        ),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(out_path, text.getvalue().encode())
    return out_path


def _row(record: Row, view: View, *subsets: Subset) -> dict[str, Cell]:
    return {"path": record["path"], "view": view, "subset": ";".join(subsets), "sequence": record.get("flight")}


def _place(record: Row, location: str) -> dict[str, Cell]:
    return {"x": record["x_m"], "y": record["y_m"], "crs": LOCAL_CRS, "location_id": record[location]}


def _with(rows: list[Row], column: str, value: str, folder: Path) -> list[Row]:
    matches = [row for row in rows if row[column] == value]
    if not matches:
        values = ", ".join(sorted({str(row[column]) for row in rows}))
        raise DataError(f"nothing has the {column} '{value}'", where=folder, fix=f"give one of {values}")
    return matches


def _rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    names, records = read_records(path)
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(f"the table has no column '{missing[0]}'; it has {', '.join(names)}", where=path, fix="fetch it again")
    return [record.cells for record in records]


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m cvgl.datasets.flights", description="Writes the manifest of one date.")
    parser.add_argument("source", type=Path, help="folder with uav.csv, tiles.csv and truth.csv")
    parser.add_argument("date", help="of the tiles, e.g. 2014-01")
    parser.add_argument("manifest", type=Path, help="the CSV to write")
    arguments = parser.parse_args()
    written = write_manifest(arguments.source, arguments.date, arguments.manifest)
    print(f"wrote {written}; ingest it with --root {arguments.source}")


if __name__ == "__main__":
    main()
