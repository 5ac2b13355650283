#!/usr/bin/env bash
# usearch 2.26.6 answers every query with a stored NaN feature first, at the distance nan: one row from a half-precision overflow is the
# best match of all queries. faiss 1.15.1 never returns such a row, hnswlib 0.8.0 returns it last.
# Seen for a query that is stored as row 0, with a NaN row 3: usearch 3, 0, 1, 2; hnswlib 0, 1, 2, 3; faiss 0, 1, 2, -1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check usearch==2.26.6 faiss-cpu==1.15.1 hnswlib==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import faiss
import hnswlib
import numpy as np
from usearch.index import Index

rows = np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0], [np.nan] * 4], "float32")
index = Index(ndim=4, metric="cos")
index.add(np.arange(4), rows)
by_usearch = index.search(rows[0], 4)
other = hnswlib.Index("cosine", 4)
other.init_index(10)
other.add_items(rows, np.arange(4))
by_hnswlib = other.knn_query(rows[:1], 4)[0][0]
flat = faiss.IndexFlatIP(4)
flat.add(rows)
by_faiss = flat.search(rows[:1], 4)[1][0]
print("usearch:", by_usearch.keys.tolist(), by_usearch.distances.tolist())
print("hnswlib:", by_hnswlib.tolist(), "faiss:", by_faiss.tolist())
assert by_usearch.keys.tolist() == [3, 0, 1, 2]
assert np.isnan(by_usearch.distances[0])
assert by_hnswlib.tolist() == [0, 1, 2, 3]
assert by_faiss.tolist() == [0, 1, 2, -1]
PYTHON
