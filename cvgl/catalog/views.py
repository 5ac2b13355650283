"""The views of the catalogue: what each is for, and its SQL over the sources (named with a leading underscore).

Order matters: a view may use the ones before it.
"""

from __future__ import annotations

from typing import NamedTuple


class View(NamedTuple):
    """One view of the catalogue."""

    name: str
    purpose: str
    sql: str


VIEWS: tuple[View, ...] = (
    View(
        "images",
        "one row per image of a dataset: where its file is, its view and subsets, the position of satellite images",
        # The newest word about an image counts, and a file that holds another image now no longer holds this one.
        """
        WITH newest AS (
            SELECT * FROM _images
            QUALIFY row_number() OVER (PARTITION BY dataset, image_id ORDER BY batch DESC) = 1
                AND row_number() OVER (PARTITION BY dataset, uri ORDER BY batch DESC) = 1
        )
        SELECT * FROM newest i ANTI JOIN _tombstones t
            ON i.dataset = t.dataset AND i.image_id = t.image_id AND i.batch <= t.through
        """,
    ),
    View(
        "ground_truth",
        "which place an image shows, and where it was really taken; read for evaluation only",
        """
        WITH newest AS (
            SELECT * FROM _ground_truth QUALIFY row_number() OVER (PARTITION BY dataset, image_id ORDER BY batch DESC) = 1
        )
        SELECT * EXCLUDE batch
        FROM newest
        WHERE coalesce(location_id, crs) IS NOT NULL OR coalesce(latitude, longitude, x, y) IS NOT NULL
        """,
    ),
    View(
        "quarantine",
        "images that are left out at present, and why: refused at ingestion, or not described by a model",
        """
        WITH newest AS (
            SELECT * FROM _quarantine QUALIFY row_number() OVER (PARTITION BY dataset, uri ORDER BY batch DESC) = 1
        )
        SELECT dataset, uri, reason, detail, 'ingest' AS stage, NULL::VARCHAR AS model FROM newest WHERE reason <> 'resolved'
        UNION ALL
        SELECT dataset, uri, reason, detail, 'extract', batch FROM _failures
        """,
    ),
    View(
        "tombstones",
        "references that left a dataset: deleted or replaced, which file it was, and the batch of arrivals that said so",
        "SELECT * FROM _tombstones",
    ),
    View(
        "decisions",
        "one row per batch of arrivals: adapt, skip or ask, why, the drift and quality that it went by, the predicted cost",
        "SELECT * FROM _decisions ORDER BY dataset, arrival",
    ),
    View(
        "locations",
        "one row per location: images per view and position; without ground truth every satellite image is a location",
        """
        SELECT
            i.dataset,
            coalesce(g.location_id, i.image_id) AS location_id,
            bool_or(g.location_id IS NOT NULL) AS labelled,
            count(*) AS n_images,
            count(*) FILTER (i.view = 'drone') AS n_drone,
            count(*) FILTER (i.view = 'ground') AS n_ground,
            count(*) FILTER (i.view = 'satellite') AS n_satellite,
            avg(i.latitude) AS latitude,
            avg(i.longitude) AS longitude,
            avg(i.x) AS x,
            avg(i.y) AS y,
            any_value(i.crs) AS crs
        FROM images i LEFT JOIN ground_truth g USING (dataset, image_id)
        WHERE g.location_id IS NOT NULL OR i.view = 'satellite'
        GROUP BY ALL
        """,
    ),
    View("models", "the frozen models whose features are stored, by fingerprint", "SELECT * FROM _models"),
    View(
        "features",
        "descriptors of the frozen models; cast to FLOAT[d] (d: models.dimension) for array_cosine_similarity",
        # Two processes may have described the same image; the later part by name counts, as in the feature store.
        """
        SELECT image_id, model, dataset, descriptor
        FROM _features f ANTI JOIN (SELECT image_id, model, dataset, batch FROM _features) other
            ON f.image_id = other.image_id AND f.model = other.model AND f.dataset = other.dataset AND f.batch < other.batch
        """,
    ),
    View("runs", "one row per adapter: settings, sizes, and the metrics of its last iteration", "SELECT * FROM _runs"),
    View("training", "the history of every adapter: one row per iteration and metric", "SELECT * FROM _training"),
    View("metrics", "one row per run, stage, direction, protocol and metric; rates are fractions", "SELECT * FROM _metrics"),
    View(
        "queries",
        "one row per run, stage, direction, protocol and query: rank, average precision, top answers, metres",
        "SELECT * FROM _queries",
    ),
    View(
        "predictions",
        "the top answers of `queries`, one row each, with its position in the list and whether it is right",
        """
        SELECT
            run, dataset, stage, direction, protocol, image_id, location_id,
            unnest(range(1, len(top_ids) + 1)) AS position,
            unnest(top_ids) AS reference_id,
            unnest(top_scores) AS score,
            -- Without a known place an answer is neither right nor wrong.
            unnest(
                CASE WHEN location_id IS NULL THEN list_transform(top_correct, lambda x: NULL) ELSE top_correct END
            ) AS correct
        FROM queries
        """,
    ),
    View(
        "gate_decisions",
        "the gate's last decision on each run: promoted or refused, why, against which champion, by how much, from which rows",
        "SELECT * FROM _verdicts",
    ),
    View(
        "gate_evidence",
        "the rows of those decisions: each query, the scores of challenger and champion on it, and their errors in metres",
        """
        SELECT
            run, direction, protocol, image_id, location_id,
            coalesce(role, 'query') AS role,
            challenger, coalesce(incumbent, champion) AS incumbent,
            challenger_m, incumbent_m
        FROM _gate_rows
        """,
    ),
    View(
        "hardest_locations",
        "locations by how badly their queries do (worst first), and which location they are mistaken for",
        """
        WITH answers AS (
            SELECT q.*, coalesce(g.location_id, q.top_ids[1]) AS answered
            FROM queries q
            LEFT JOIN ground_truth g ON g.dataset = q.dataset AND g.image_id = q.top_ids[1]
        )
        SELECT
            run, dataset, stage, direction, protocol, location_id,
            count(*) AS n_queries,
            avg((coalesce("rank", 0) = 1)::DOUBLE) AS recall_at_1,
            avg(average_precision) AS average_precision,
            median("rank") AS median_rank,
            median(distance_m) AS median_m,
            mode(answered ORDER BY answered) FILTER (answered <> location_id) AS mistaken_for  -- the first of equals
        FROM answers
        WHERE location_id IS NOT NULL
        GROUP BY ALL
        ORDER BY average_precision NULLS FIRST, median_rank DESC NULLS FIRST, run, stage, direction, protocol, location_id
        """,
    ),
    View(
        "hubs",
        "references that come first for many queries (most wrong answers first): hubs of the descriptor space",
        """
        WITH counts AS (
            SELECT
                run, dataset, stage, direction, protocol, reference_id,
                count(*) FILTER (position = 1) AS n_top1,
                count(*) FILTER (position = 1 AND NOT correct) AS n_wrong,
                count(*) AS n_listed
            FROM predictions
            GROUP BY ALL
        )
        SELECT *, n_top1 / sum(n_top1) OVER (PARTITION BY run, dataset, stage, direction, protocol) AS share_top1
        FROM counts
        QUALIFY n_top1 > 1
        ORDER BY n_wrong DESC, n_top1 DESC, run, stage, direction, protocol, reference_id
        """,
    ),
)

# Earlier names of views, which queries written for version 0.1 use; they are not listed.
FORMER = {
    "scenes": "locations",
    "hardest_scenes": "hardest_locations",
    "hub_references": "hubs",
    "verdicts": "gate_decisions",
    "gate_rows": "gate_evidence",
}


def list_of_views() -> str:
    """The names, for messages."""
    return ", ".join(view.name for view in VIEWS)
