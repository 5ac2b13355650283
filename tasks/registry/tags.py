"""Names under which the registry keeps what cvgl knows of a model version or run: tags and aliases. Stored, so they stay."""

from __future__ import annotations

# Aliases of a registered model.
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

# What a version or run is of.
RUN = "cvgl.run"
DATASET = "cvgl.dataset"
FEATURES = "cvgl.features"  # fingerprint of the frozen model
MODEL_ID = "cvgl.model_id"
TENSORS = "cvgl.tensors_sha256"

# What the gate decided, and from what: as long as the latter are the same, the former stands.
VERDICT = "cvgl.verdict"
REASON = "cvgl.reason"
EVIDENCE = "cvgl.evidence"
RULES = "cvgl.rules"
JUDGED_AGAINST = "cvgl.judged_against"

# What serves, and what was put back.
MAP = "cvgl.map"
REPLACED = "cvgl.replaced"
ROLLED_BACK = "cvgl.rolled_back"
SET_ASIDE = "cvgl.positions_set_aside"  # hash of positions that a rollback went back from

# What a run of ours has logged so far.
FIGURES = "cvgl.figures"
CONTENTS = "cvgl.contents"
REPORT = "cvgl.report"
