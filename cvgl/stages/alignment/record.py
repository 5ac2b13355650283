"""What a choice of the alignment leaves behind: every candidate with its score, the winner, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from cvgl.config import AlignmentConfig, ExtractConfig, Settings
from cvgl.errors import LakeError
from cvgl.lake import Lake, read_versioned
from cvgl.types import View


class TriedCandidate(Settings):
    """A candidate and how it did.

    Attributes:
        step: of the search that proposed it.
        alignment: its settings.
        layers: of the frozen model; none for the model's own.
        rings: that are pooled.
        agreement: `cvgl.quality.agreement`; a share, or nats an image of those taken in a row. No labels are used.
        standard_error: of the agreement.
        query_passes: model inputs for each query image.
        reference_passes: model inputs for each reference image.
    """

    step: str
    alignment: AlignmentConfig
    layers: tuple[int, ...] | None
    rings: int
    agreement: float
    standard_error: float
    query_passes: int
    reference_passes: int

    @property
    def passes(self) -> int:
        """Model inputs for an image of each view together: what the candidate costs."""
        return self.query_passes + self.reference_passes

    def in_words(self) -> str:
        """The settings that differ from their defaults, for people."""
        return in_words(self.alignment, self.layers, self.rings)


class AlignmentRecord(Settings):
    """The evidence of one choice; `alignments/dataset=<name>/<digest>.json` in the lake.

    Attributes:
        dataset: whose images.
        inputs: everything that the choice depends on.
        features: fingerprint of the descriptors that the winner gives.
        query_view: that was aligned with the tiles; none when there was nothing to align.
        images: of the sample, by view.
        candidates: in the order in which they were tried; empty when there was no choice.
        chosen: index of the winner among the candidates; none when there was no choice.
        passes: model inputs that the choice cost.
        left_out: candidates that the budget did not allow, in words.
        reason: why the winner was chosen, or why there was no choice.
    """

    dataset: str
    inputs: dict[str, Any]
    features: str
    query_view: View | None = None
    pictures: dict[str, int] = Field(default_factory=dict)
    candidates: tuple[TriedCandidate, ...] = ()
    chosen: int | None = None
    passes: int = 0
    left_out: tuple[str, ...] = ()
    reason: str

    @property
    def winner(self) -> TriedCandidate | None:
        """The chosen candidate; None if nothing was chosen."""
        return None if self.chosen is None else self.candidates[self.chosen]

    def applied_to(self, extract: ExtractConfig) -> ExtractConfig:
        """The settings with the winner's alignment, layers and rings."""
        if self.winner is None:
            return extract
        backbone = extract.backbone.model_copy(update={"layers": self.winner.layers, "rings": self.winner.rings})
        return extract.model_copy(update={"alignment": self.winner.alignment, "backbone": backbone})


def candidate_rows(record: AlignmentRecord) -> list[dict[str, Any]]:
    """One row for each candidate, for tables: the winner first, then by agreement."""
    winner = record.winner
    ordered = sorted(record.candidates, key=lambda candidate: (candidate is not winner, -candidate.agreement, candidate.passes))
    return [
        {
            "settings": candidate.in_words() + (" (chosen)" if candidate is winner else ""),
            "agreement": f"{candidate.agreement:.3f} ± {candidate.standard_error:.3f}",
            "passes, query + reference": f"{candidate.query_passes} + {candidate.reference_passes}",
            "step": candidate.step,
        }
        for candidate in ordered
    ]


def alignments_folder(lake: Lake, dataset: str) -> Path:
    """Where the evidence of a dataset's choices is."""
    return lake.alignments(dataset)


def read_alignment(path: Path) -> AlignmentRecord:
    """Reads the evidence of a choice.

    Raises:
        LakeError: missing or damaged.
    """
    try:
        return AlignmentRecord.model_validate(read_versioned(path, "alignment"))
    except ValidationError as error:
        raise LakeError(
            f"the record of an alignment is not valid: {error}",
            where=path,
            fix="restore it from a backup, or move it away and align again",
        ) from error


def alignment_of(lake: Lake, dataset: str, features: str) -> AlignmentRecord | None:
    """The choice that led to these features, if there was one; of several, the one that tried most.

    Raises:
        LakeError: a record is damaged.
    """
    paths = sorted(path for path in alignments_folder(lake, dataset).glob("*.json") if not path.name.startswith("."))
    records = [record for record in map(read_alignment, paths) if record.features == features]
    return max(records, key=lambda record: len(record.candidates), default=None)


def in_words(alignment: AlignmentConfig, layers: tuple[int, ...] | None, rings: int) -> str:
    """What differs from embedding whole images as they are."""
    parts = {
        f"query crop {alignment.query_crop:g}": alignment.query_crop < 1,
        f"reference crop {alignment.reference_crop:g}": alignment.reference_crop < 1,
        f"tilt {alignment.tilt:g}°": alignment.tilt > 0,
        "polar references": alignment.polar,
        f"{alignment.reference_rotations} rotations": alignment.reference_rotations > 1,
        f"{alignment.query_rotations} rotations of the query": alignment.query_rotations > 1,
        "mirrored": alignment.flips,
        f"scales {', '.join(f'{scale:g}' for scale in alignment.reference_scales)}": alignment.reference_scales != (1.0,),
        f"layers {', '.join(map(str, layers or ()))}": layers is not None,
        f"{rings} rings": rings > 1,
    }
    return ", ".join(text for text, holds in parts.items() if holds) or "whole images as they are"
