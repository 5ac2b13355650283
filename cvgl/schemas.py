"""The Arrow schema of every table in the lake, declared before anything writes one.

Positions: a satellite image's position is the map's own data and lives in `IMAGES`. The position of a drone or street
image is what the system has to find; where it is known (EXIF, a CSV), it is ground truth and lives in `GROUND_TRUTH`,
which nothing on the training, selection or inference path reads.
"""

from __future__ import annotations

import pyarrow as pa

_POSITION = [
    pa.field("latitude", pa.float64()),  # degrees, WGS 84
    pa.field("longitude", pa.float64()),
    pa.field("x", pa.float64()),  # metres (or the CRS's unit), east
    pa.field("y", pa.float64()),  # north
    pa.field("crs", pa.string()),  # anything pyproj reads, or "local" for a metric frame without a place on Earth
]

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # hash of the file's bytes
        pa.field("uri", pa.string(), nullable=False),  # absolute path
        pa.field("view", pa.string(), nullable=False),  # cvgl.types.View
        pa.field("subsets", pa.list_(pa.string()), nullable=False),  # cvgl.types.Subset, sorted
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        *_POSITION,  # of references only; null for other views
        pa.field("captured_at", pa.timestamp("us", tz="UTC")),
        pa.field("sequence", pa.string()),  # images of one flight or walk
        pa.field("batch", pa.string(), nullable=False),  # the file that this row is in
    ]
)

GROUND_TRUTH = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("location_id", pa.string()),  # images with the same one show the same place
        *_POSITION,  # where a query was really taken
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # one of a small set of words, for counting
        pa.field("detail", pa.string(), nullable=False),  # a sentence for a person
    ]
)

TOMBSTONES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),  # the file that was deleted, or holds another image now
        pa.field("view", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # deleted or replaced
        pa.field("through", pa.string(), nullable=False),  # rows of the images table up to this batch are hidden
        pa.field("arrival", pa.string(), nullable=False),  # the batch of arrivals that said so
    ]
)

DECISIONS = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("arrival", pa.string(), nullable=False),  # the batch of arrivals that was decided upon
        pa.field("verdict", pa.string(), nullable=False),  # adapt, skip or ask
        pa.field("reason", pa.string(), nullable=False),  # a sentence for a person
        pa.field("champion", pa.string()),  # the run that served; null: none
        pa.field("compared_with", pa.string(), nullable=False),  # which images stood for what the champion knows
        pa.field("n_new", pa.int64(), nullable=False),  # training images that the champion has not learned from
        pa.field("n_new_references", pa.int64(), nullable=False),
        pa.field("n_forgotten", pa.int64(), nullable=False),
        pa.field("view", pa.string()),  # with the largest effect; null: no test was made
        pa.field("effect", pa.float64()),  # normalised energy distance, 0 to 1
        pa.field("p_value", pa.float64()),
        pa.field("quality_before", pa.float64()),  # label-free, of the champion on what it knows
        pa.field("quality_after", pa.float64()),  # and on what came
        pa.field("quality_error", pa.float64()),  # standard error of their difference
        pa.field("predicted_seconds", pa.float64()),  # of the adaptation; null: nothing has been measured yet
        pa.field("predicted_bytes", pa.int64()),
        pa.field("details", pa.string(), nullable=False),  # JSON: every view's test, and the policy
    ]
)


def features(dimension: int, *, half: bool = False) -> pa.Schema:
    """One descriptor a row: ids and descriptors live in one file."""
    value = pa.float16() if half else pa.float32()
    return pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("descriptor", pa.list_(value, dimension), nullable=False),
        ]
    )


def map_references(dimension: int) -> pa.Schema:
    """References of a map with their adapted descriptors: float32 (d,), unit rows."""
    return pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            *_POSITION,
            pa.field("descriptor", pa.list_(pa.float32(), dimension), nullable=False),
        ]
    )


GATE_ROWS = pa.schema(
    [
        pa.field("direction", pa.string()),
        pa.field("protocol", pa.string()),
        pa.field("image_id", pa.string()),
        pa.field("location_id", pa.string()),
        pa.field("role", pa.string()),
        pa.field("challenger", pa.float64()),
        pa.field("incumbent", pa.float64()),
        pa.field("champion", pa.float64()),
        pa.field("challenger_m", pa.float64()),  # metres from the first answer to the true position; null where unknown
        pa.field("incumbent_m", pa.float64()),
    ]
)
"""Rows that were compared with labels (right or not) and without (what a query earned): a file has the columns of one."""


METRICS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),  # cvgl.types.Representation
        pa.field("direction", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("protocol_hash", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),  # R@1, R@5, R@10, R@1%, AP, median_m, within_25m, ...
        pa.field("value", pa.float64(), nullable=False),  # rates are fractions in [0, 1]
        pa.field("n_queries", pa.int64(), nullable=False),
        pa.field("n_gallery", pa.int64(), nullable=False),
        pa.field("most_right", pa.int64()),  # largest number of right answers of a query
        pa.field("rows_digest", pa.string()),  # figures with different ones answer different questions
        pa.field("notes", pa.list_(pa.string())),  # what to know before believing the value
    ]
)

QUERIES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("direction", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("location_id", pa.string()),
        pa.field("rank", pa.int64()),  # 1-based rank of the first right answer; null when the gallery has none
        pa.field("average_precision", pa.float64()),  # null when the gallery has no right answer
        pa.field("n_right", pa.int64()),  # right answers in the gallery
        pa.field("top_ids", pa.list_(pa.string()), nullable=False),  # best first
        pa.field("top_scores", pa.list_(pa.float32()), nullable=False),
        pa.field("top_correct", pa.list_(pa.bool_()), nullable=False),
        pa.field("distance_m", pa.float64()),  # from the top answer's position to the true one
    ]
)
