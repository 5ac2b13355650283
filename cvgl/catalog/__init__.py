"""The lake as SQL views (DuckDB, in memory, read-only). See docs/reference/queries.md for the views and examples."""

from __future__ import annotations

from cvgl.catalog.formats import Readable, to_csv, to_json, to_table
from cvgl.catalog.query import Result, connect, run_query
from cvgl.catalog.views import VIEWS, View

__all__ = ["VIEWS", "Readable", "Result", "View", "connect", "run_query", "to_csv", "to_json", "to_table"]
