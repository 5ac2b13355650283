"""The choice among recipes without labels: fitted on one half of the queries, judged on the other.

What each held-out query earns is its credit: whether two halves of the mapped descriptor name the same reference for it
(over several splits), and whether that reference prefers it, too, both under CSLS; or, for images taken in a row over
references of known position, by how many nats a course explains it better than chance (`hmm.log_likelihood_gain`). Nothing was
learned from the query itself, so a map that only confirms its own pseudo-labels earns nothing by it.

The credit is not fair to all: what halves agree on is in part light and colour, which `robust` removes, so that its credit
falls where its accuracy rises. Who has to prove what therefore follows from made-up worlds whose answers are known
(docs/lab-notebook/judgement.md). Where views beyond doubt have to do with one another, `robust` is presumed, whose own check on
held-out queries falls back on the standardised baseline; where that is in doubt, `standardised`; along a
course, where the credit is
fair, the better one of frozen and standardised. Another candidate takes its place only where its mean credit is higher by more
than `confidence` standard errors of the paired difference; of several, the one whose gain has the highest such lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from cvgl.adaptation import learn
from cvgl.adaptation.descriptors import checked
from cvgl.adaptation.halves import Half, halves
from cvgl.adaptation.sequences import FrameSequences
from cvgl.config import UNTRAINED, AdaptConfig, Recipe, SelectConfig, Settings
from cvgl.config.quality import BASELINES
from cvgl.errors import CvglError
from cvgl.quality.checks import Finding, check_views, refused
from cvgl.quality.dependence import Dependence, dependence_test
from cvgl.quality.report import credit_of, paired, uncertainty_reason, unrelated_reason
from cvgl.quality.similarity import DescriptorPair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

IMPLEMENTATION = 2  # raised whenever the same rows would lead to another choice

OnCandidate = Callable[[int, int, str], None]


class Judged(Settings):
    """What one candidate came to on the rows that it did not learn from."""

    recipe: Recipe
    credit: float = Field(description="mean over the held-out queries")
    over_start: float = Field(description="of that, more than the recipe that is presumed")
    standard_error: float = Field(description="of that difference, over queries or blocks of them")
    left_out: str = Field("", description="why it was not tried; empty where it was")


class Selection(Settings):
    """Which recipe was chosen, and the evidence. Holds no image, no identifier and no label."""

    implementation: int = IMPLEMENTATION
    chosen: Recipe
    measure: str = Field(description="'halves': agreement and reciprocity, 0 to 1; 'course': nats an image; '': not judged")
    reason: str
    relatedness: Dependence | None = Field(description="none: too few images to tell")
    findings: tuple[Finding, ...] = ()
    candidates: tuple[Judged, ...] = ()

    @property
    def refusal(self) -> str:
        """Why nothing should be adapted at all; empty where nothing speaks against it."""
        refusal = refused(self.findings)
        if refusal:
            return refusal
        if self.relatedness is not None and not self.relatedness.related:
            return unrelated_reason(self.relatedness)
        return ""


def select(
    query_features: Any,
    reference_features: Any,
    config: AdaptConfig,
    rules: SelectConfig | None = None,
    sequences: FrameSequences | None = None,
    on_candidate: OnCandidate | None = None,
) -> Selection:
    """Chooses a recipe for two views of frozen descriptors. The same rows and settings lead to the same choice.

    Args:
        query_features: (M, d0), descriptors of the drone or ground view.
        reference_features: (N, d0), of the satellite view.
        config: seed, device, precision, hubness_neighbours and query view go to every candidate.
        rules: which candidates, and how sure the choice must be.
        sequences: which queries were taken in a row, and where references lie.
        on_candidate: told how many trainings are done, of how many, and what comes next.

    Raises:
        DataError: features that are no finite matrices of one dimension.
    """
    rules = rules or SelectConfig()
    queries = checked(query_features, "query features")
    references = checked(reference_features, "reference features", queries.shape[1])
    findings = check_views(queries, references, rules.fewest)
    if problem := refused(findings):
        return Selection(chosen=Recipe.FROZEN, measure="", reason=problem, relatedness=None, findings=findings)
    related = dependence_test(queries, references, sequences)
    if not related.related:
        # It is refused. Where the test is wrong, each view by its own statistics loses least; where it is right, nothing does.
        return Selection(
            chosen=Recipe.STANDARDISED, measure="", reason=unrelated_reason(related), relatedness=related, findings=findings
        )
    trial = Trial(queries, references, sequences if sequences is not None and sequences.usable else None, config, rules)
    return _choose(trial, rules, related, findings, on_candidate)


def _choose(
    trial: Trial,
    rules: SelectConfig,
    related: Dependence,
    findings: tuple[Finding, ...],
    on_candidate: OnCandidate | None,
) -> Selection:
    # From views that may have nothing to do with one another no map is learned.
    wanted = list(dict.fromkeys([*BASELINES, *(rules.candidates if related.is_certain else ())]))
    earned: dict[Recipe, NDArray[np.float64]] = {}
    left_out: dict[Recipe, str] = {}
    for done, recipe in enumerate(wanted):
        if on_candidate is not None:
            on_candidate(done, len(wanted), str(recipe))
        try:
            left_out[recipe] = trial.too_much(recipe)
            if not left_out[recipe]:
                earned[recipe] = trial.credit(recipe)
        except CvglError as error:  # a candidate that cannot be learned here is no candidate; frozen always can
            left_out[recipe] = error.what
    start = trial.presumed(earned)
    chosen, most = start, 0.0
    for recipe in earned:
        difference, deviation = trial.paired(earned[recipe], earned[start])
        if difference - trial.confidence * deviation > most:
            chosen, most = recipe, difference - trial.confidence * deviation
    judged = tuple(_judged(trial, recipe, earned, start, left_out) for recipe in wanted)
    return Selection(
        chosen=chosen,
        measure=trial.measure,
        reason=_reason(chosen, start, judged, trial.confidence)
        if related.is_certain
        else f"'{chosen}': {uncertainty_reason(related)}",
        relatedness=related,
        findings=findings,
        candidates=judged,
    )


def _judged(
    trial: Trial, recipe: Recipe, earned: dict[Recipe, NDArray[np.float64]], start: Recipe, left_out: dict[Recipe, str]
) -> Judged:
    if recipe not in earned:
        return Judged(recipe=recipe, credit=0.0, over_start=0.0, standard_error=0.0, left_out=left_out[recipe])
    difference, error = trial.paired(earned[recipe], earned[start])
    return Judged(recipe=recipe, credit=float(earned[recipe].mean()), over_start=difference, standard_error=error)


def _reason(chosen: Recipe, start: Recipe, judged: Sequence[Judged], confidence: float) -> str:
    winner = next(trial for trial in judged if trial.recipe is chosen)
    if chosen is start:
        return f"'{chosen}': presumed, and no other recipe is better on held-out images by {confidence:g} standard errors"
    return (
        f"'{chosen}': better than '{start}' on held-out images by {winner.over_start:.3f} "
        f"(standard error {winner.standard_error:.3f})"
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """Fits recipes on halves of the queries and looks at the other halves.

    Attributes:
        queries, references: float32 (n, d0), checked.
        sequences: usable ones, or none.
        config: of the adaptation.
        rules: of the choice.
    """

    queries: Float32Array
    references: Float32Array
    sequences: FrameSequences | None
    config: AdaptConfig
    rules: SelectConfig

    @property
    def measure(self) -> str:
        """Kind of credit: agreement of halves, or gain along sequences."""
        return "halves" if self.sequences is None else "course"

    @property
    def confidence(self) -> float:
        """Standard errors by which a candidate must be better than a safer one."""
        return self.rules.confidence if self.sequences is None else self.rules.confidence_along

    def presumed(self, earned: Mapping[Recipe, NDArray[np.float64]]) -> Recipe:
        """The recipe that stands unless another one proves better; `robust` has no credit where relatedness is in doubt."""
        if self.sequences is not None:
            return max(BASELINES, key=lambda recipe: float(earned[recipe].mean()))
        return Recipe.ROBUST if Recipe.ROBUST in earned else Recipe.STANDARDISED

    def settings(self, recipe: Recipe) -> AdaptConfig:
        """A candidate's settings: its own defaults, with what the choice was given."""
        common = {"seed", "query_view", "device", "precision", "hubness_neighbours", "checkpoint_every"}
        return AdaptConfig.model_validate({**self.config.model_dump(include=common), "recipe": recipe})

    def too_much(self, recipe: Recipe) -> str:
        """Why a recipe would cost too much; empty where it would not."""
        if recipe in UNTRAINED or recipe is Recipe.ROBUST:
            return ""
        settings = self.settings(recipe)
        drawn = min(settings.query_samples or len(self.references), len(self.queries))
        size = self.queries.shape[1] * (settings.dimension or self.queries.shape[1])
        # Forward and backward through adapter and reverter of the drawn queries and all references.
        work = 6.0 * settings.iterations * (drawn + len(self.references)) * size
        return "" if work <= self.rules.most_work else f"{work:.1e} multiplications, of {self.rules.most_work:.1e} at most"

    def credit(self, recipe: Recipe) -> NDArray[np.float64]:
        """float64 (M,): what each query earned while it was held out, mean over the repeats.

        Raises:
            CvglError: the recipe cannot be learned from these rows.
        """
        settings = self.settings(recipe)
        total = np.zeros(len(self.queries))
        for both in self._divisions():
            for learned_on, held_out in (both, both[::-1]):
                total[held_out.rows] += self._earned(settings, learned_on, held_out)
        return total / (1 if self.sequences is not None else self.rules.repeats)

    def _earned(self, settings: AdaptConfig, learned_on: Half, held_out: Half) -> NDArray[np.float64]:
        learned = learn(self.queries[learned_on.rows], self.references, config=settings, sequences=learned_on.sequences)
        queries = learned.transform_query(self.queries[held_out.rows])
        references = learned.transform_reference(self.references)
        return credit_of(DescriptorPair(queries, references), held_out.sequences)

    def _divisions(self) -> Iterator[tuple[Half, Half]]:
        """Two halves of the queries: of each run, or at random, several times."""
        repeats = 1 if self.sequences is not None else self.rules.repeats
        generator = np.random.default_rng(self.config.seed)
        for _ in range(repeats):
            yield halves(len(self.queries), self.sequences, generator)

    def paired(self, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float]:
        """Mean difference, and its standard error over queries or blocks of consecutive ones."""
        return paired(ours - theirs, self.sequences)


def adapt_best(
    query_features: Any,
    reference_features: Any,
    config: AdaptConfig | None = None,
    rules: SelectConfig | None = None,
    sequences: FrameSequences | None = None,
) -> tuple[Any, Selection]:
    """`select`, and the chosen recipe learned from all rows: the adaptation, and the evidence for the choice.

    Raises:
        ConfigError, DataError: see `cvgl.adaptation.adapt`.
    """
    settings = config or AdaptConfig(recipe=Recipe.AUTO)
    selection = select(query_features, reference_features, settings, rules, sequences)
    return learn(
        query_features, reference_features, config=chosen_settings(settings, selection), sequences=sequences
    ), selection


def chosen_settings(config: AdaptConfig, selection: Selection) -> AdaptConfig:
    """The settings of the recipe that was chosen."""
    common = {"seed", "query_view", "device", "precision", "hubness_neighbours", "checkpoint_every"}
    return AdaptConfig.model_validate({**config.model_dump(include=common), "recipe": selection.chosen})
