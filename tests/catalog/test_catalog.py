"""SQL over lakes: what the views say, what a query may not do, and how answers are printed."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from cvgl import schemas
from cvgl.catalog import VIEWS, Readable, Result, connect, run_query, to_csv, to_json, to_table
from cvgl.catalog.views import FORMER
from cvgl.config import EvaluateConfig, Layout
from cvgl.errors import ConfigError, DataError, LakeError
from cvgl.evaluation.evaluate import evaluate
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.lake import Lake, write_bytes, write_json, write_parquet
from tests.stages.lakes import DATASET, FINGERPRINT, RUN, town, write_town


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A small town, adapted and evaluated; nothing in these tests writes to it."""
    lake = Lake.at(tmp_path_factory.mktemp("measured") / "lake")
    evaluate(write_town(lake, town()), EvaluateConfig(), lake)
    write_json(
        lake.root / "features" / f"model={FINGERPRINT}" / "model.json",
        {
            "extract": {"backbone": {"name": "gist"}, "alignment": {"query_crop": 0.7, "reference_rotations": 4}},
            "dimension": 12,
        },
    )
    return lake


def rows(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    return run_query(lake, sql).rows


class TestEmptyLake:
    @pytest.mark.parametrize("view", [view.name for view in VIEWS])
    def test_every_view_has_columns_and_no_rows(self, lake: Lake, view: str) -> None:
        answer = run_query(lake, f"FROM {view}")
        assert answer.rows == []
        assert len(answer.columns) >= 4

    def test_columns_are_the_same_as_in_a_full_lake(self, lake: Lake, measured: Lake) -> None:
        for view in VIEWS:
            query = f"DESCRIBE {view.name}"
            assert rows(lake, query) == rows(measured, query), view.name

    def test_asking_makes_no_folder(self, lake: Lake) -> None:
        run_query(lake, "SELECT count(*) FROM images")
        assert not lake.root.exists()


class TestViews:
    def test_images_are_those_of_the_dataset_with_its_name_as_a_column(self, measured: Lake) -> None:
        expected = tables.read_images(measured, DATASET)
        assert rows(measured, "SELECT image_id, view, dataset FROM images ORDER BY image_id") == [
            (row["image_id"], row["view"], DATASET) for row in expected.to_pylist()
        ]

    def test_newest_word_counts_as_in_the_library(self, lake: Lake) -> None:
        blank = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "captured_at", "sequence"))

        def image(image_id: str, uri: str, subsets: list[str]) -> dict[str, Any]:
            return {**blank, "image_id": image_id, "uri": uri, "view": "drone", "subsets": subsets, "width": 8, "height": 8}

        def batch(*images: dict[str, Any]) -> None:
            tables.add_batch(lake.images("a"), images, schemas.IMAGES, Layout.FOLDER, "/")

        batch(image("1" * 32, "/a.png", ["train"]), image("2" * 32, "/b.png", ["train"]))
        batch(image("1" * 32, "/a.png", ["query", "train"]))  # said anew
        batch(image("3" * 32, "/b.png", ["train"]))  # another image under an old name
        expected = tables.read_images(lake, "a").select(["image_id", "uri", "subsets"]).to_pylist()
        answer = run_query(lake, "SELECT image_id, uri, subsets FROM images ORDER BY image_id")
        assert [dict(zip(answer.columns, row, strict=True)) for row in answer.rows] == expected
        assert [row["image_id"][0] for row in expected] == ["1", "3"]

    def test_ground_truth_and_quarantine_agree_with_the_library(self, lake: Lake) -> None:
        blank = dict.fromkeys(("location_id", "latitude", "longitude", "x", "y", "crs"))
        for truth in ([("a", "1"), ("b", "2")], [("a", None), ("b", "3")]):
            batch = [{**blank, "image_id": image, "location_id": place} for image, place in truth]
            tables.add_batch(lake.ground_truth("a"), batch, schemas.GROUND_TRUTH, Layout.FOLDER, "/")
        for reason in ("damaged", "resolved"):
            refused = [{"uri": "/x.jpg", "reason": reason, "detail": ""}]
            refused += [{"uri": "/y.jpg", "reason": "empty", "detail": "0 bytes"}] if reason == "damaged" else []
            tables.add_batch(lake.quarantine("a"), refused, schemas.QUARANTINE, Layout.FOLDER, "/")
        truth_rows = read_ground_truth(lake, "a").to_pylist()
        assert rows(lake, "SELECT image_id, location_id FROM ground_truth") == [
            (row["image_id"], row["location_id"]) for row in truth_rows
        ]
        assert rows(lake, "SELECT uri, reason, stage FROM quarantine") == [("/y.jpg", "empty", "ingest")]
        assert tables.read_quarantine(lake, "a").num_rows == 1

    def test_quarantine_holds_what_a_model_could_not_describe(self, lake: Lake) -> None:
        failure = pa.Table.from_pylist([{"uri": "/z.jpg", "reason": "changed", "detail": "."}], schema=schemas.QUARANTINE)
        write_parquet(lake.quarantine("a") / "extract" / "beef.parquet", failure)
        assert rows(lake, "SELECT dataset, uri, stage, model FROM quarantine") == [("a", "/z.jpg", "extract", "beef")]

    def test_scenes_count_views_and_carry_the_satellite_position(self, measured: Lake) -> None:
        table_rows = rows(
            measured, "SELECT location_id, n_drone, n_satellite, latitude, labelled FROM locations ORDER BY location_id"
        )
        assert table_rows[0] == ("0000", 3, 1, 50.0, True)
        assert len(table_rows) == 10
        assert table_rows[-1][1] == 0  # a distractor has no drone image

    def test_scenes_without_ground_truth_are_the_satellite_images(self, lake: Lake) -> None:
        from tests.stages.lakes import write_images

        write_images(lake, town(places=2, distractors=0))
        assert rows(lake, "SELECT location_id, n_images, labelled FROM locations ORDER BY 1") == [
            ("s00", 1, False),
            ("s01", 1, False),
        ]

    def test_features_are_float_lists_of_the_model(self, measured: Lake) -> None:
        [(kind, count)] = rows(measured, "SELECT any_value(typeof(descriptor)), count(*) FROM features")
        assert (kind, count) == ("FLOAT[]", len(town()))
        [(similarity,)] = rows(
            measured,
            """SELECT array_cosine_similarity(a.descriptor::FLOAT[12], b.descriptor::FLOAT[12])
            FROM features a JOIN features b USING (model, dataset) WHERE a.image_id = 's00' AND b.image_id = 's01'""",
        )
        values = FeatureStore(measured.features(FINGERPRINT, DATASET)).read(["s00", "s01"])
        assert similarity == pytest.approx(float(values[0] @ values[1]), abs=1e-6)

    def test_models_of_other_dimensions_and_half_precision_share_the_view(self, lake: Lake) -> None:
        rng = np.random.default_rng(0)
        for model, dimension, half in (("a1", 4, False), ("b2", 6, True)):
            values = rng.standard_normal((2, dimension)).astype(np.float32)
            FeatureStore(lake.features(model, "2014")).add(["p", "q"], values, {}, half=half)
        assert rows(lake, "SELECT model, dataset, image_id, len(descriptor) FROM features ORDER BY ALL") == [
            ("a1", "2014", "p", 4),
            ("a1", "2014", "q", 4),
            ("b2", "2014", "p", 6),
            ("b2", "2014", "q", 6),
        ]

    def test_an_image_in_two_parts_counts_once(self, lake: Lake) -> None:
        store = FeatureStore(lake.features("a1", "x"))
        store.add(["p", "q"], np.eye(2, dtype=np.float32), {})
        store.add(["q"], np.full((1, 2), 0.5**0.5, np.float32), {})
        descriptor_of = dict(rows(lake, "SELECT image_id, descriptor FROM features"))
        assert len(rows(lake, "SELECT * FROM features")) == 2
        assert descriptor_of["q"] == pytest.approx(store.read(["q"])[0].tolist())

    def test_runs_tell_settings_and_last_losses(self, measured: Lake) -> None:
        [(run, recipe, d, iterations, total)] = rows(
            measured, "SELECT run, recipe, d, iterations, final['loss_total'] FROM runs"
        )
        assert (run, recipe, d, iterations) == (RUN, "paper-standardised", 16, 3)
        history = rows(measured, "SELECT iteration, value FROM training WHERE metric = 'loss_total' ORDER BY iteration")
        assert [iteration for iteration, _ in history] == [1, 2, 3]
        assert history[-1][1] == total > 0

    def test_models(self, measured: Lake) -> None:
        assert rows(measured, "SELECT model, backbone, dimension, query_crop, reference_rotations FROM models") == [
            (FINGERPRINT, "gist", 12, 0.7, 4)
        ]

    def test_metrics_and_queries_tell_the_same(self, measured: Lake) -> None:
        different = rows(
            measured,
            """SELECT m.stage, m.direction FROM metrics m JOIN queries q USING (run, stage, direction, protocol)
            WHERE metric = 'R@1' GROUP BY ALL HAVING abs(any_value(value) - avg((rank = 1)::INT)) > 1e-9""",
        )
        assert different == []
        assert len(rows(measured, "FROM metrics WHERE metric = 'R@1'")) == 6

    def test_predictions_are_the_answers_in_order(self, measured: Lake) -> None:
        table_rows = rows(
            measured,
            """SELECT list(reference_id ORDER BY position) FROM predictions
            GROUP BY stage, direction, protocol, image_id ORDER BY ALL""",
        )
        assert table_rows == rows(measured, "SELECT top_ids FROM queries ORDER BY ALL")


def write_queries(lake: Lake, *answers: tuple[str, str | None, int | None, list[str], list[bool]]) -> None:
    values = [
        {
            "run": "r",
            "dataset": "a",
            "stage": "adapted",
            "direction": "drone_to_satellite",
            "protocol": "standard",
            "image_id": image,
            "location_id": place,
            "rank": rank,
            "average_precision": None if rank is None else 1 / rank,
            "top_ids": top,
            "top_scores": [0.5] * len(top),
            "top_correct": correct,
            "distance_m": None,
        }
        for image, place, rank, top, correct in answers
    ]
    write_parquet(lake.evaluation("r") / "queries.parquet", pa.Table.from_pylist(values, schema=schemas.QUERIES))


class TestReadyViews:
    def test_hardest_scenes_come_worst_first_with_what_they_are_taken_for(self, lake: Lake) -> None:
        write_queries(
            lake,
            ("q1", "A", 1, ["sA", "sB"], [True, False]),
            ("q2", "B", 4, ["sA", "sC"], [False, False]),
            ("q3", "B", 2, ["sA", "sB"], [False, True]),
            ("q4", "C", None, ["sB", "sA"], [False, False]),
        )
        blank = dict.fromkeys(("latitude", "longitude", "x", "y", "crs"))
        truth = [{**blank, "image_id": f"s{place}", "location_id": place} for place in "AB"]
        tables.add_batch(lake.ground_truth("a"), truth, schemas.GROUND_TRUTH, Layout.FOLDER, "/")
        table_rows = rows(lake, "SELECT location_id, n_queries, recall_at_1, median_rank, mistaken_for FROM hardest_locations")
        assert table_rows == [("C", 1, 0.0, None, "B"), ("B", 2, 0.0, 3.0, "A"), ("A", 1, 1.0, 1.0, None)]

    def test_hub_references_are_first_for_several_queries(self, lake: Lake) -> None:
        write_queries(
            lake,
            ("q1", "A", 1, ["sA", "sB"], [True, False]),
            ("q2", "B", 2, ["sA", "sB"], [False, True]),
            ("q3", "C", 3, ["sA", "sB"], [False, False]),
            ("q4", "D", 1, ["sD", "sA"], [True, False]),
        )
        table_rows = rows(lake, "SELECT reference_id, n_top1, n_wrong, n_listed, share_top1 FROM hubs")
        assert table_rows == [("sA", 3, 2, 4, 0.75)]

    def test_without_a_known_place_an_answer_is_neither_right_nor_wrong(self, lake: Lake) -> None:
        write_queries(lake, ("q1", None, None, ["sA"], [False]), ("q2", None, None, ["sA"], [False]))
        assert rows(lake, "SELECT DISTINCT correct FROM predictions") == [(None,)]
        assert rows(lake, "SELECT n_top1, n_wrong FROM hubs") == [(2, 0)]
        assert rows(lake, "FROM hardest_locations") == []


class TestOnlyReading:
    @pytest.mark.parametrize(
        "statement",
        [
            "COPY (SELECT 1) TO '{root}/stolen.csv'",
            "WITH x AS (COPY (SELECT 1 AS a) TO '{root}/stolen.csv') SELECT * FROM x",
            "EXPLAIN ANALYZE COPY (SELECT 1) TO '{root}/stolen.csv'",
            "ATTACH '{root}/stolen.db'",
            "EXPORT DATABASE '{root}/stolen'",
            "SELECT * FROM read_text('{root}/secret.txt')",
            "SELECT * FROM '{root}/secret.txt'",
            "SELECT * FROM glob('{root}/*')",
            "SET enable_external_access = true",
            "INSTALL httpfs",
            "CREATE TABLE t AS SELECT 1",
            "SELECT 1; COPY (SELECT 1) TO '{root}/stolen.csv'",
        ],
    )
    def test_no_statement_reaches_the_disk(self, lake: Lake, statement: str) -> None:
        write_bytes(lake.root / "secret.txt", b"secret")
        with pytest.raises(DataError):
            run_query(lake, statement.format(root=lake.root))
        assert [path.name for path in lake.root.iterdir()] == ["secret.txt"]

    def test_python_variables_are_not_tables(self, lake: Lake) -> None:
        secret = pa.table({"a": [1]})
        with pytest.raises(DataError):
            run_query(lake, "SELECT * FROM secret")
        assert secret.num_rows == 1

    def test_nothing_can_be_unlocked(self, lake: Lake) -> None:
        import duckdb

        with connect(lake) as connection, pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")


class TestErrors:
    @pytest.mark.parametrize("statement", ["SELCT 1", "SELECT * FROM scans", "SELECT nothing FROM images", "SELECT 1 / 'a'"])
    def test_bad_sql_says_why_and_lists_the_views(self, measured: Lake, statement: str) -> None:
        with pytest.raises(DataError, match="hardest_locations") as raised:
            run_query(measured, statement)
        assert "Error" in raised.value.what  # DuckDB's own words
        assert statement in raised.value.where

    @pytest.mark.parametrize("statement", ["", "  ;  ", "-- nothing"])
    def test_an_empty_statement(self, lake: Lake, statement: str) -> None:
        with pytest.raises(DataError, match="found 0"):
            run_query(lake, statement)

    def test_damaged_file_spoils_only_its_view(self, lake: Lake) -> None:
        write_bytes(lake.images("a") / "0001-x.parquet", b"not parquet")
        with pytest.raises(DataError, match="0001-x"):
            run_query(lake, "SELECT * FROM images")
        assert run_query(lake, "SELECT * FROM runs").rows == []

    def test_damaged_record(self, lake: Lake) -> None:
        write_bytes(lake.adapter("r") / "adapter.json", b"{")
        with pytest.raises(LakeError, match=r"adapter\.json"):
            run_query(lake, "SELECT 1")

    def test_half_written_files_are_not_seen(self, lake: Lake) -> None:
        write_bytes(lake.images("a") / ".tmp-1.parquet", b"half")
        assert run_query(lake, "SELECT * FROM images").rows == []

    def test_settings_that_mean_nothing(self, lake: Lake) -> None:
        with pytest.raises(ConfigError, match="memory_limit=much"):
            connect(lake, memory_limit="much")
        with pytest.raises(ConfigError):
            run_query(lake, "SELECT 1", limit=-1)


class TestLimit:
    @pytest.mark.parametrize(("limit", "count", "truncated"), [(None, 5, False), (5, 5, False), (4, 4, True), (0, 0, True)])
    def test_more_rows_than_asked_for(self, lake: Lake, limit: int | None, count: int, truncated: bool) -> None:
        answer = run_query(lake, "SELECT * FROM range(5)", limit)
        assert (len(answer.rows), answer.truncated) == (count, truncated)


HARD = """
SELECT 'a,"b"\n[red]c[/red]' AS text, NULL AS nothing, [1, NULL] AS list, 'NaN'::DOUBLE AS nan, DATE '2024-02-29' AS day,
    1.5::DECIMAL(4, 2) AS amount, {'k': 'v'} AS struct, '\\xAB'::BLOB AS blob, true AS yes, 0.1 + 0.2 AS sum
"""


class TestFormerNames:
    @pytest.mark.parametrize(("former", "name"), FORMER.items())
    def test_a_view_answers_under_its_earlier_name(self, measured: Lake, former: str, name: str) -> None:
        rows_of = [sorted(run_query(measured, f"FROM {view}").rows, key=repr) for view in (former, name)]
        assert rows_of[0] == rows_of[1]
        assert former not in [view.name for view in VIEWS]


class TestFormats:
    def test_csv_can_be_read_back(self, lake: Lake) -> None:
        header, row = csv.reader(io.StringIO(to_csv(run_query(lake, HARD))))
        values = dict(zip(header, row, strict=True))
        assert values["text"] == 'a,"b"\n[red]c[/red]'
        assert values["nothing"] == ""
        assert (values["list"], values["struct"], values["day"]) == ("[1, null]", '{"k": "v"}', "2024-02-29")

    def test_json_can_be_read_back(self, lake: Lake) -> None:
        [values] = json.loads(to_json(run_query(lake, HARD)))
        assert values["text"] == 'a,"b"\n[red]c[/red]'
        assert values["nothing"] is None
        assert values["nan"] is None
        assert (values["list"], values["struct"], values["yes"], values["amount"]) == ([1, None], {"k": "v"}, True, 1.5)

    def test_columns_of_one_name_both_stay(self, lake: Lake) -> None:
        assert json.loads(to_json(run_query(lake, "SELECT 1 AS a, 2 AS a"))) == [{"a": 1, "a_2": 2}]

    def test_table_shows_content_as_it_is(self, lake: Lake) -> None:
        console = Console(width=300, record=True, file=io.StringIO())
        console.print(to_table(run_query(lake, HARD), title="[bold]title"))
        text = console.export_text()
        assert "[red]c[/red]" in text
        assert "[bold]title" in text
        assert "0.3" in text

    def test_rows_too_wide_for_the_terminal_become_blocks(self, lake: Lake) -> None:
        wide = Result(tuple(f"column_{number}" for number in range(12)), [tuple(range(12)), (None, *range(11))])
        for width, expected in ((300, False), (60, True)):
            console = Console(width=width, record=True, file=io.StringIO())
            console.print(Readable(wide))
            text = console.export_text()
            assert ("row 2" in text) is expected
            assert "column_11" in text

    def test_table_says_when_there_is_more(self) -> None:
        assert "there are more" in str(to_table(Result(("a",), [(1,)], truncated=True)).caption)


def documented() -> list[str]:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "queries.md"
    return re.findall(r"```sql\n(.+?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("statement", documented())
def test_every_documented_question_has_an_answer(measured: Lake, statement: str) -> None:
    assert run_query(measured, statement).columns


def test_every_view_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "queries.md").read_text()
    assert [view.name for view in VIEWS if f"| `{view.name}` |" not in page] == []


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "＝1", "-", "+a"]
)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    made = to_csv(Result(("name", "=header"), [(text, -1.5)]))
    assert list(csv.reader(io.StringIO(made, newline=""))) == [["name", "'=header"], [f"'{text}", "-1.5"]]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (-1, "-1"),
        (-1.5, "-1.5"),
        ("-1.5", "-1.5"),
        ("+49", "+49"),
        ("-1e-5", "-1e-5"),
        ("a=b", "a=b"),
        ([-1], "[-1]"),
        (None, ""),
    ],
)
def test_numbers_and_other_texts_stay(value: object, field: str) -> None:
    assert to_csv(Result(("value",), [(value,)])).splitlines()[1] == (f'"{field}"' if field == "" else field)
