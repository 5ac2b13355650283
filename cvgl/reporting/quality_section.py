"""What a report says about quality that was judged without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cvgl.quality.scores import Scores
from cvgl.reporting.document import Grid, Judgement

if TYPE_CHECKING:
    from cvgl.quality.prediction import Prediction
    from cvgl.quality.report import DirectionQuality, QualityReport
    from cvgl.quality.selection import Selection
    from cvgl.reporting.material import Material

_SIZES = {"n_queries", "n_references", "dimension"}


def judgement_of(material: Material) -> Judgement | None:
    """The page's section on quality; none where the run was not judged."""
    if material.quality is None:
        return None
    view = str(material.record.query_view)
    quality, selection = material.quality, material.selection
    return Judgement(
        verdict=quality.verdict,
        reason=quality.reason,
        predictions=_predictions(quality, view),
        scores=_scores(quality, view),
        candidates=_candidates(selection),
        choice="" if selection is None else selection.reason,
        warnings=(*_evidence(quality), *_warnings(quality)),
    )


def _evidence(quality: QualityReport) -> list[str]:
    """The two figures that the verdict rests on, whatever the verdict; nothing where images could not be judged."""
    lines = []
    if quality.relatedness is not None:
        have, need = quality.relatedness.strength, quality.relatedness.threshold
        lines.append(f"What the views have in common: strength {have:.1f}, where {need:.1f} is needed.")
    if quality.gain is not None:
        gain, unit = quality.gain, "" if quality.gain.measure == "halves" else " nats an image"
        figures = f"{gain.adapted:.3f} adapted, {gain.frozen:.3f} frozen, {gain.difference:+.3f} ± {gain.standard_error:.3f}"
        lines.append(f"What speaks for the answers, without labels: {figures}{unit}.")
    return lines


def _warnings(quality: QualityReport) -> list[str]:
    warnings = [f"{finding.reason}." for finding in quality.findings if finding.severity == "flagged"]
    if quality.seen:
        warnings.append(
            "There were no other images to judge by than those of the training: it was repeated on one half of them."
        )
    return warnings


def _arrow(direction: DirectionQuality, view: str) -> str:
    return f"{view} → satellite" if direction.direction == "query_to_reference" else f"satellite → {view}"


def _predictions(quality: QualityReport, view: str) -> Grid:
    rows = []
    for direction in quality.directions:
        rows.append((_arrow(direction, view), "R@1", _share(direction.predicted_frozen), _share(direction.predicted)))
        rows += [
            (_arrow(direction, view), f"within {radius} m", "", _share(near))
            for radius, near in direction.predicted_within.items()
        ]
    return Grid(("direction", "share", "frozen", "adapted"), tuple(rows), (False, False, True, True))


def _share(prediction: Prediction) -> str:
    return f"{100 * prediction.value:.0f} ({100 * prediction.low:.0f} to {100 * prediction.high:.0f})"


def _scores(quality: QualityReport, view: str) -> Grid:
    rows = []
    for direction in quality.directions:
        for name, field in Scores.model_fields.items():
            if name not in _SIZES:
                values = (getattr(direction.frozen, name), getattr(direction.adapted, name))
                rows.append(
                    (_arrow(direction, view), name.replace("_", " "), *(f"{v:.3f}" for v in values), str(field.description))
                )
    return Grid(("direction", "score", "frozen", "adapted", "what it is"), tuple(rows), (False, False, True, True, False))


def _candidates(selection: Selection | None) -> Grid:
    rows = () if selection is None else selection.candidates
    start = "over the recipe that is presumed"
    return Grid(
        ("recipe", "credit of held-out images", start, "standard error", "left out because"),
        tuple(
            (
                str(row.recipe),
                *(("", "", "") if row.left_out else _figures(row.credit, row.over_start, row.standard_error)),
                row.left_out,
            )
            for row in rows
        ),
        (False, True, True, True, False),
    )


def _figures(credit: float, over: float, error: float) -> tuple[str, str, str]:
    return f"{credit:.3f}", f"{over:+.3f}", f"{error:.3f}"
