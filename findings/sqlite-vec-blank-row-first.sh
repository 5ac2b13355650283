#!/usr/bin/env bash
# sqlite-vec 0.1.9 lets rows without a direction win: the cosine distance to an all-zero feature (a blank tile, a failed encoder) is NULL,
# which SQL sorts before an exact match; its own nearest-neighbour table leaves the row where it was inserted, so that the same rows answer
# one query with the blank row or with the match by the order in which they came.
# Seen for one blank row and one equal to the query, nearest one asked for: by ORDER BY distance always the blank row; by the vec0 table the
# blank row if it was inserted first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check sqlite-vec==0.1.9 apsw==3.54.1.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import apsw
import numpy as np
import sqlite_vec

FEATURES = {"match": np.array([1, 0, 0, 0], "float32").tobytes(), "blank": np.zeros(4, "float32").tobytes()}
seen = {}
for order in (("match", "blank"), ("blank", "match")):
    base = apsw.Connection(":memory:")
    base.enable_load_extension(True)
    base.load_extension(sqlite_vec.loadable_path())
    base.execute("create virtual table fast using vec0(feature float[4] distance_metric=cosine)")
    base.execute("create table plain(feature blob)")
    for name in order:
        base.execute("insert into fast(feature) values (?)", (FEATURES[name],))
        base.execute("insert into plain(feature) values (?)", (FEATURES[name],))
    query = FEATURES["match"]
    (by_order,) = base.execute("select rowid, vec_distance_cosine(feature, ?) distance from plain order by distance limit 1", (query,))
    (by_table,) = base.execute("select rowid, distance from fast where feature match ? and k = 1", (query,))
    seen[order] = (order[by_order[0] - 1], order[by_table[0] - 1])
    print(f"inserted {order}: ORDER BY gives {seen[order][0]} at {by_order[1]}, vec0 gives {seen[order][1]} at {by_table[1]}")
assert seen == {("match", "blank"): ("blank", "match"), ("blank", "match"): ("blank", "blank")}
PYTHON
