"""The choice among recipes is safe, repeatable, and blind to labels and order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cvgl import adapt
from cvgl.config import AdaptConfig, Recipe, SelectConfig
from cvgl.quality.dependence import Dependence
from cvgl.quality.selection import Selection, adapt_best, chosen_settings, select
from tests.adaptation.synthetic import cross_view, recall_at_1
from tests.adaptation.synthetic_noise import correlated_noise, flight
from tests.quality.views import lit, pair, unrelated

AUTO = AdaptConfig(recipe=Recipe.AUTO)
RULES = SelectConfig(candidates=(Recipe.STANDARDISED_JOINTLY, Recipe.ROBUST))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [correlated_noise, cross_view], ids=["noise", "styles"])
def test_the_choice_is_not_worse_than_doing_nothing(make: Any, seed: int) -> None:
    world = make(seed=seed)
    learned, selection = adapt_best(world.train_queries, world.train_references, AUTO, RULES)
    recall = recall_at_1(learned.transform_query(world.test_queries), learned.transform_reference(world.test_references))
    for recipe in (Recipe.FROZEN, Recipe.STANDARDISED):
        other = adapt(world.train_queries, world.train_references, recipe=recipe)
        share = recall_at_1(other.transform_query(world.test_queries), other.transform_reference(world.test_references))
        assert recall >= share - 0.011, (selection.reason, recipe)


def test_robust_is_presumed_where_halves_agree_on_the_light_alone() -> None:
    """Agreement on the light is lost, agreement on the place is won: the credit says little, and the places are found."""
    world = lit()
    learned, selection = adapt_best(world.train_queries, world.train_references, AUTO, RULES)
    assert selection.chosen is Recipe.ROBUST
    assert "presumed" in selection.reason
    frozen, robust = (
        next(candidate for candidate in selection.candidates if candidate.recipe == wanted) for wanted in ("frozen", "robust")
    )
    assert robust.credit < frozen.credit + 0.1
    recall = recall_at_1(learned.transform_query(world.test_queries), learned.transform_reference(world.test_references))
    assert recall > 0.9
    assert recall_at_1(world.test_queries, world.test_references) < 0.2


def test_what_is_presumed_gives_way_to_what_is_clearly_better(monkeypatch: pytest.MonkeyPatch) -> None:
    def blunted(queries: Any, references: Any, config: Any, sequences: Any = None) -> Any:
        """Learns as it should, but for `robust`, whose map keeps two dimensions."""
        if config.recipe is not Recipe.ROBUST:
            return adapt(queries, references, config=config, sequences=sequences)
        first_two = np.eye(queries.shape[1])[:2].sum(axis=0)
        return adapt(queries * first_two, references * first_two, recipe="frozen")

    monkeypatch.setattr("cvgl.quality.selection.learn", blunted)
    selection = select(*pair(), AUTO, RULES)
    assert selection.chosen is not Recipe.ROBUST
    assert "better than 'robust'" in selection.reason
    chosen = next(candidate for candidate in selection.candidates if candidate.recipe is selection.chosen)
    assert chosen.over_start > 2.326 * chosen.standard_error


def test_along_a_course_nothing_is_presumed_but_what_learns_no_map() -> None:
    made = flight()
    strict = RULES.model_copy(update={"confidence_along": 1e6})
    selection = select(made.frames, made.tiles, AUTO, strict, made.sequences)
    assert selection.chosen in (Recipe.FROZEN, Recipe.STANDARDISED)
    assert select(*pair(), AUTO, strict.model_copy(update={"confidence": 1e6})).chosen is Recipe.ROBUST


def test_of_several_that_prove_better_the_one_with_the_highest_lower_bound_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that proves better must not stand in the way of a better one, which need not prove better than that, too."""

    def credit(self: Any, recipe: Any) -> Any:
        block = np.arange(len(self.queries)) // 26
        earned = {Recipe.STANDARDISED_JOINTLY: 0.31 + 0.2 * (-1.0) ** block, Recipe.ROBUST: np.full(len(block), 0.36)}
        return earned.get(recipe, np.full(len(block), 0.2))

    monkeypatch.setattr("cvgl.quality.selection.Trial.credit", credit)
    made = flight()
    selection = select(made.frames, made.tiles, AUTO, RULES, made.sequences)
    assert selection.chosen is Recipe.ROBUST
    gains = {candidate.recipe: candidate.over_start - 1.645 * candidate.standard_error for candidate in selection.candidates}
    assert 0 < gains[Recipe.STANDARDISED_JOINTLY] < gains[Recipe.ROBUST]


def test_a_candidate_that_was_left_out_is_not_presumed() -> None:
    selection = select(*pair(), AUTO, SelectConfig(candidates=()))
    assert selection.chosen is Recipe.STANDARDISED


def test_nothing_is_learned_from_unrelated_views() -> None:
    selection = select(*unrelated(), AUTO, RULES)
    assert selection.chosen is Recipe.STANDARDISED
    assert selection.relatedness is not None
    assert not selection.relatedness.related
    assert "nothing to do with one another" in selection.refusal
    assert selection.candidates == ()


def test_nothing_is_learned_from_five_images() -> None:
    selection = select(*pair(places=5), AUTO, RULES)
    assert selection.chosen is Recipe.FROZEN
    assert "too few" in selection.refusal


def test_the_same_rows_lead_to_the_same_choice() -> None:
    views = pair()
    assert select(*views, AUTO, RULES) == select(*views, AUTO, RULES)


def test_a_flight_is_judged_by_its_course() -> None:
    made = flight()
    selection = select(made.frames, made.tiles, AUTO, RULES, made.sequences)
    assert selection.measure == "course"
    assert selection.refusal == ""


def test_recipes_that_cost_too_much_are_left_out_and_named() -> None:
    rules = SelectConfig(candidates=(Recipe.PAPER, Recipe.ROBUST), most_work=1e6)
    selection = select(*pair(), AUTO, rules)
    reasons = {candidate.recipe: candidate.left_out for candidate in selection.candidates}
    assert "multiplications" in reasons[Recipe.PAPER]
    assert reasons[Recipe.ROBUST] == ""
    assert Recipe.FROZEN in reasons


def test_what_was_chosen_takes_the_seed_along() -> None:
    selection = select(*pair(), AdaptConfig(recipe=Recipe.AUTO, seed=4), RULES)
    assert chosen_settings(AdaptConfig(recipe=Recipe.AUTO, seed=4), selection).seed == 4


def test_a_selection_can_be_read_back() -> None:
    selection = select(*pair(), AUTO, RULES)
    assert Selection.model_validate(selection.model_dump(mode="json")) == selection


def test_progress_is_told_of_each_candidate() -> None:
    messages = []
    select(*pair(), AUTO, RULES, on_candidate=lambda done, total, subject: messages.append((done, total, subject)))
    assert messages[0] == (0, 4, "frozen")
    assert len(messages) == 4


def test_the_evidence_has_no_place_for_a_label() -> None:
    words = str(Selection.model_json_schema()).lower()
    assert not any(word in words for word in ("location_id", "image_id", "ground_truth"))
    assert np.isfinite(select(*pair(), AUTO, RULES).candidates[0].credit)


def test_from_views_that_may_have_nothing_in_common_no_map_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = Dependence(test="pairs", strength=2.0, threshold=1.0, related=True)
    monkeypatch.setattr("cvgl.quality.selection.dependence_test", lambda *arguments: doubtful)
    world = correlated_noise()
    selection = select(world.train_queries, world.train_references, AUTO, RULES)
    assert selection.chosen in (Recipe.FROZEN, Recipe.STANDARDISED)
    assert [candidate.recipe for candidate in selection.candidates] == [Recipe.FROZEN, Recipe.STANDARDISED]
    assert "doubtful" in selection.reason
    assert selection.refusal == ""
