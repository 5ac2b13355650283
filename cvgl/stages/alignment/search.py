"""The search for the alignment under which two views agree best: one kind of setting after another, from coarse to fine.

No labels are used. Settings that were given are kept; a step proposes candidates around the best so far, and what its budget
does not allow is left out and said. At the end, what is cheaper and no worse than chance explains wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from cvgl.config import AlignConfig, AlignmentConfig
from cvgl.quality.agreement import agreement
from cvgl.stages.alignment.record import TriedCandidate, in_words
from cvgl.stages.alignment.sample import Sample
from cvgl.types import View

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences

MINIMUM = 20
"""Images of each view below which shares of them say too little to choose by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings to try: an alignment, and which of the model's variants."""

    alignment: AlignmentConfig
    variant: int

    def changed(self, **values: Any) -> Candidate:
        """The candidate with other values of its alignment."""
        return Candidate(self.alignment.model_copy(update=values), self.variant)


OnCandidate = Callable[[TriedCandidate, int], None]


@dataclass(slots=True)
class Search:
    """One search.

    Attributes:
        sample: the images.
        query_view: the view that is aligned with the tiles.
        config: the candidates and the budget.
        fixed: names of alignment settings that were given and stay.
        courses: which of some queries were taken in a row, over where some references lie; by their ids.
        on_candidate: told each candidate and the model inputs used so far.
        tried: every candidate that was scored, in order.
        left_out: those that the budget did not allow.
    """

    sample: Sample
    query_view: View
    config: AlignConfig
    fixed: frozenset[str]
    courses: Callable[[Sequence[str], Sequence[str]], FrameSequences | None]
    on_candidate: OnCandidate
    tried: dict[Candidate, TriedCandidate] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def run(self, start: AlignmentConfig) -> int | None:
        """Tries candidates; gives the index of the winner among `tried`, or None when too few images can be described."""
        self._try("as given", [Candidate(start, 0)])
        if not self.tried:
            return None
        drone: tuple[tuple[str, Callable[[Candidate], Iterable[Candidate]]], ...] = (
            ("scale and rotations", self._scales_and_rotations),
            ("scale of the tile", self._tile_scales),
            ("layers and rings", self._descriptors),
            ("finer scale", self._finer_scales),
            ("tilt", self._tilts),
            ("more rotations", self._more_rotations),
            ("cheaper", self._cheaper),
        )
        ground = (("polar", self._polar), *(step for step in drone if step[0] != "tilt"))
        for name, propose in ground if self.query_view is View.GROUND else drone:
            self._try(name, propose(self.best()))
        winner = cheapest_within_error(list(self.tried.values()))
        return list(self.tried.values()).index(winner)

    def best(self) -> Candidate:
        """The candidate with the highest agreement; of equals the cheapest, then the first."""
        return max(self.tried, key=lambda candidate: (self.tried[candidate].agreement, -self.tried[candidate].passes))

    def _try(self, step: str, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            if candidate in self.tried:
                continue
            if self.sample.passes_used() + self.sample.cost(candidate.alignment) > self.config.max_passes:
                self.left_out.append(self._in_words(candidate))
                continue
            scored = self._scored(step, candidate)
            if scored is not None:
                self.tried[candidate] = scored
                self.on_candidate(scored, self.sample.passes_used())

    def _scored(self, step: str, candidate: Candidate) -> TriedCandidate | None:
        """None when too few of the images can be described."""
        (query_ids, queries), (reference_ids, references) = (
            self.sample.descriptors(view, candidate.alignment, candidate.variant) for view in (self.query_view, View.SATELLITE)
        )
        if min(len(queries), len(references)) < MINIMUM:
            return None
        score = agreement(queries, references, self.courses(query_ids, reference_ids))
        variant = self.sample.variants.variants[candidate.variant].config
        return TriedCandidate(
            step=step,
            alignment=candidate.alignment,
            layers=variant.layers,
            rings=variant.rings,
            agreement=round(score.score, 6),
            standard_error=round(score.standard_error, 6),
            query_passes=len(self.sample.units(self.query_view, candidate.alignment)),
            reference_passes=len(self.sample.units(View.SATELLITE, candidate.alignment)),
        )

    def _in_words(self, candidate: Candidate) -> str:
        variant = self.sample.variants.variants[candidate.variant].config
        return in_words(candidate.alignment, variant.layers, variant.rings)

    def _choices(self, name: str, best: Candidate, candidates: Iterable[Any]) -> tuple[Any, ...]:
        """The values of a setting to try: only its own when it was given."""
        own = getattr(best.alignment, name)
        return (own,) if name in self.fixed else tuple(dict.fromkeys((own, *candidates)))

    # ---- the steps: each proposes candidates around the best so far ---------------------------------------------------

    def _scales_and_rotations(self, best: Candidate) -> Iterator[Candidate]:
        crops = self._choices("query_crop", best, self.config.query_crops)
        rotations = self._choices("reference_rotations", best, self.config.rotations)
        for crop, turns in product(crops, rotations):
            yield best.changed(query_crop=crop, reference_rotations=turns)

    def _tile_scales(self, best: Candidate) -> Iterator[Candidate]:
        """A smaller part of the tile helps where images show less ground than tiles: when no part of them is too much."""
        if best.alignment.query_crop < 1 and self.query_view is not View.GROUND:
            return
        for crop in self._choices("reference_crop", best, self.config.reference_crops):
            yield best.changed(reference_crop=crop)

    def _descriptors(self, best: Candidate) -> Iterator[Candidate]:
        for variant in range(len(self.sample.variants.variants)):
            yield Candidate(best.alignment, variant)

    def _finer_scales(self, best: Candidate) -> Iterator[Candidate]:
        """Half way to the neighbours of the best scale, or beyond the smallest that was tried."""
        name, tried = "query_crop", {candidate.alignment.query_crop for candidate in self.tried}
        if best.alignment.query_crop == 1 and best.alignment.reference_crop < 1:
            name, tried = "reference_crop", {candidate.alignment.reference_crop for candidate in self.tried}
        if name in self.fixed:
            return
        own: float = getattr(best.alignment, name)
        smaller, larger = (max((c for c in tried if c < own), default=None), min((c for c in tried if c > own), default=None))
        for neighbour in (smaller if smaller is not None else own * 0.6, larger):
            if neighbour is not None:
                yield best.changed(**{name: round((own + neighbour) / 2, 4)})

    def _tilts(self, best: Candidate) -> Iterator[Candidate]:
        if not set(self.config.tilts) - {best.alignment.tilt}:
            return
        larger = min(1.0, round(best.alignment.query_crop * 1.2, 4))
        for tilt in self._choices("tilt", best, self.config.tilts):
            for crop in self._choices("query_crop", best, (larger,)):
                yield best.changed(tilt=tilt, query_crop=crop)

    def _polar(self, best: Candidate) -> Iterator[Candidate]:
        for polar in self._choices("polar", best, (False, True)):
            yield best.changed(polar=polar)

    def _more_rotations(self, best: Candidate) -> Iterator[Candidate]:
        for turns in self._choices("query_rotations", best, (4,)):
            yield best.changed(query_rotations=turns)
        if best.alignment.reference_rotations > 1:
            for turns in self._choices("reference_rotations", best, (8,)):
                yield best.changed(reference_rotations=turns)

    def _cheaper(self, best: Candidate) -> Iterator[Candidate]:
        """What the best so far would be with fewer passes; these passes have all been made."""
        turns: tuple[int, ...] = tuple(count for count in (1, 2, 4) if count < best.alignment.reference_rotations)
        for count in self._choices("reference_rotations", best, turns):
            for query_turns in self._choices("query_rotations", best, (1,)):
                yield best.changed(reference_rotations=count, query_rotations=query_turns)


def cheapest_within_error(tried: list[TriedCandidate]) -> TriedCandidate:
    """The cheapest candidate whose agreement lies within one standard error of the best.

    Of equally cheap ones those with fewer passes a query (tiles are described once, queries keep coming), then the best.
    """
    best = max(tried, key=lambda candidate: candidate.agreement)
    close = [candidate for candidate in tried if candidate.agreement >= best.agreement - best.standard_error]
    return min(close, key=lambda candidate: (candidate.passes, candidate.query_passes, -candidate.agreement))
