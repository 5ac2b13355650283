"""The recipe `robust` as a user calls it: where it helps, where it keeps to the baseline, and that it repeats itself."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import cvgl
from cvgl import adapt
from cvgl.adaptation import Adaptation, DescriptorTransform, FrameSequences, IterationMetrics, hubness, standardise, whitening
from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.halves import halves
from cvgl.adaptation.labelling import MutualNeighbours, SequenceLabels
from cvgl.adaptation.pseudo_labels import NO_LABEL
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import ConfigError, DataError
from tests.adaptation.recording import Call, recording, self_check
from tests.adaptation.synthetic import CrossView, cross_view, recall_at_1
from tests.adaptation.synthetic_noise import correlated_noise, flight

CONFIG = AdaptConfig(recipe=Recipe.ROBUST)


@pytest.fixture(scope="module")
def world() -> CrossView:
    return correlated_noise(places=60)


def learn(
    queries: NDArray[Any],
    references: NDArray[Any],
    sequences: FrameSequences | None = None,
    seed: int | None = None,
    **changes: Any,
) -> Adaptation:
    config = AdaptConfig.model_validate({"recipe": "robust", **changes})
    return adapt(queries, references, config=config, seed=seed, sequences=sequences)


def recalls(transform: DescriptorTransform, world: CrossView) -> NDArray[Any]:
    queries, references = transform.transform_query(world.test_queries), transform.transform_reference(world.test_references)
    return np.array([recall_at_1(queries, references), recall_at_1(references, queries)])


def files(adaptation: Adaptation, folder: Path) -> dict[str, bytes]:
    adaptation.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_standardised_views_where_noise_is_correlated(seed: int) -> None:
    world = correlated_noise(seed=seed)
    adaptation = learn(world.train_queries, world.train_references)
    baseline = recalls(standardise.fit(world.train_queries, world.train_references), world)
    assert (baseline < 0.5).all()
    assert (recalls(adaptation, world) > baseline + 0.4).all()
    assert self_check(adaptation).passed


@pytest.mark.parametrize("seed", range(3))
def test_it_beats_them_where_places_are_shown_several_times(seed: int) -> None:
    world = cross_view(seed=seed)
    adaptation = learn(world.train_queries, world.train_references)
    baseline = recalls(standardise.fit(world.train_queries, world.train_references), world)
    assert (baseline < 0.95).all()
    assert (recalls(adaptation, world) == 1).all()


def test_nothing_to_gain_is_nothing_to_lose() -> None:
    """Noise that is alike in all directions has no covariance to learn."""
    rng = np.random.default_rng(0)
    places, test = rng.normal(size=(2, 120, 32))
    sides = [(rows + 1.2 * rng.normal(size=rows.shape)).astype(np.float32) for rows in (places, places, test, test)]
    adaptation, baseline = learn(*sides[:2]), standardise.fit(*sides[:2])
    after, before = (recall_at_1(t.transform_query(sides[2]), t.transform_reference(sides[3])) for t in (adaptation, baseline))
    assert before > 0.4
    assert after >= before - 0.05


def test_wrong_labels_blunt_the_map_and_do_not_bend_it() -> None:
    """Right pairs among wrong ones: the map falls back towards the baseline and not below it."""
    world = correlated_noise(views=1)
    statistics = standardise.fit(world.train_queries, world.train_references)
    q, r = statistics.transform_query(world.test_queries), statistics.transform_reference(world.test_references)
    rng = np.random.default_rng(0)

    def recall_when_wrong(share: float) -> float:
        partner = np.arange(len(q))
        wrong = rng.permutation(len(q))[: round(share * len(q))]
        partner[wrong] = np.roll(wrong, 1)
        weight = whitening.fit(q - r[partner]).weight
        return recall_at_1(unit_rows(q @ weight), unit_rows(r @ weight))

    right, half, none = (recall_when_wrong(share) for share in (0.0, 0.5, 1.0))
    baseline = recall_at_1(q, r)
    assert right >= half > baseline + 0.2
    assert none >= baseline - 0.05


def test_the_trained_map_is_the_one_of_its_last_labels() -> None:
    """Every M-step starts anew: what is returned follows from the last labels alone."""
    world = correlated_noise(places=80)
    adaptation = learn(world.train_queries, world.train_references, iterations=2)
    before = learn(world.train_queries, world.train_references, iterations=1)
    statistics = standardise.fit(world.train_queries, world.train_references)
    q, r = statistics.transform_query(world.train_queries), statistics.transform_reference(world.train_references)
    labels = MutualNeighbours(CONFIG).labels(unit_rows(q @ before.adapter), unit_rows(r @ before.adapter)).reference
    pairs = np.flatnonzero(labels != NO_LABEL)
    assert np.allclose(adaptation.adapter, whitening.fit(q[pairs] - r[labels[pairs]]).weight, atol=1e-6)
    assert np.array_equal(adaptation.statistics.query.mean, statistics.query.mean)


def assert_is_standardised(adaptation: Adaptation, queries: NDArray[Any], references: NDArray[Any]) -> None:
    statistics = standardise.fit(queries, references)
    assert np.array_equal(adaptation.adapter, np.eye(queries.shape[1], dtype=np.float32))
    assert np.array_equal(adaptation.reverter, adaptation.adapter)
    assert not adaptation.bias.any()
    assert np.array_equal(adaptation.transform_query(queries), unit_rows(statistics.transform_query(queries)))
    assert np.array_equal(adaptation.transform_reference(references), unit_rows(statistics.transform_reference(references)))


def test_the_self_check_rejects_labels_of_a_flight_over_few_tiles() -> None:
    """Reciprocal labels on 390 frames over 15 of 196 tiles are mostly wrong, and held-out frames notice."""
    over = flight(seed=3)
    adaptation = learn(over.frames, over.tiles)
    check = self_check(adaptation)
    assert not check.passed
    assert check.after < check.before - check.standard_error
    assert len(adaptation.history) == 5  # what was tried is on record
    assert_is_standardised(adaptation, over.frames, over.tiles)


def test_views_that_have_nothing_in_common_do_no_harm() -> None:
    """No reference is right for any query: at worst the map whitens all that varies."""
    world, other = correlated_noise(seed=1), correlated_noise(seed=2)
    adaptation = learn(world.train_queries, other.train_references)
    statistics = standardise.fit(world.train_queries, other.train_references)
    assert (recalls(adaptation, world) >= recalls(statistics, world) - 0.03).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_frames_settles_what_single_frames_leave_open(seed: int) -> None:
    over = flight(seed=seed)

    def shares(transform: DescriptorTransform) -> NDArray[Any]:
        tiles = transform.transform_reference(over.tiles)
        sides = ((over.frames, over.course), (over.test_frames, over.test_tiles))
        return np.array([((transform.transform_query(rows) @ tiles.T).argmax(axis=1) == which).mean() for rows, which in sides])

    along = learn(over.frames, over.tiles, over.sequences)
    assert self_check(along).measure == "course_gain"
    assert self_check(along).passed
    assert along.record.training.trajectories_digest == over.sequences.digest()
    assert (shares(along) > shares(standardise.fit(over.frames, over.tiles)) + 0.4).all()
    assert (shares(along) > shares(learn(over.frames, over.tiles)) + 0.1).all()


def test_images_that_are_each_on_their_own_have_no_trajectory(world: CrossView) -> None:
    alone = FrameSequences.of([None] * 60, np.random.default_rng(0).normal(size=(60, 2)))
    adaptation = learn(world.train_queries, world.train_references, alone)
    assert np.array_equal(adaptation.adapter, learn(world.train_queries, world.train_references).adapter)
    assert self_check(adaptation).measure == "mutual_share"


def test_the_self_check_rejects_a_loss_of_likelihood() -> None:
    """Frames over ground that the map does not show, whose looks drift: what holds them together is not the place."""
    over, elsewhere = flight(side=8, seed=4, drift=0.98), flight(side=8, seed=104, drift=0.98)
    adaptation = learn(over.frames, elsewhere.tiles, over.sequences)
    check = self_check(adaptation)
    assert check.measure == "course_gain"
    assert not check.passed
    assert check.after < check.before - check.standard_error
    assert_is_standardised(adaptation, over.frames, elsewhere.tiles)


def test_sequences_of_any_length_are_halved() -> None:
    over = flight(side=5, n_shown=4, each=5)
    names = ["a", "a", "b", *range(3), *["c"] * 14]
    sequences = FrameSequences.of(names, over.sequences.positions)
    parts = halves(20, sequences, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate([part.rows for part in parts])), np.arange(20))
    for rows, own in parts:
        assert own is not None
        labels = SequenceLabels(CONFIG, own).labels(*_standardised(over.frames[rows], over.tiles))
        assert len(labels.reference) == len(rows)
    assert self_check(learn(over.frames, over.tiles, sequences)).measure == "course_gain"


@pytest.mark.parametrize("recipe", [Recipe.PAPER_STANDARDISED, Recipe.RELEASED])
def test_other_recipes_take_every_image_on_its_own(recipe: Recipe) -> None:
    over = flight(side=5, n_shown=4, each=5)
    config = AdaptConfig(recipe=recipe, dimension=16, iterations=2)
    with_them, without = (adapt(over.frames, over.tiles, config=config, sequences=t) for t in (over.sequences, None))
    assert np.array_equal(with_them.adapter, without.adapter)
    assert with_them.record == without.record


def test_sequences_of_other_rows_are_refused() -> None:
    over = flight(side=5, n_shown=4, each=5)
    with pytest.raises(DataError, match="each once"):
        learn(over.frames[:-1], over.tiles, over.sequences)
    with pytest.raises(DataError, match="24 references"):
        learn(over.frames, over.tiles[:-1], over.sequences)


def test_the_same_call_gives_the_same_bytes(world: CrossView, tmp_path: Path) -> None:
    first, second = (learn(world.train_queries, world.train_references) for _ in range(2))
    assert files(first, tmp_path / "first") == files(second, tmp_path / "second")
    over = flight(side=6, n_shown=5, each=6)
    first, second = (learn(over.frames, over.tiles, over.sequences) for _ in range(2))
    assert files(first, tmp_path / "third") == files(second, tmp_path / "fourth")


def test_the_seed_decides_only_who_is_drawn(world: CrossView) -> None:
    first, other = (learn(world.train_queries, world.train_references, seed=seed) for seed in (0, 1))
    assert np.array_equal(first.adapter, other.adapter)
    first, again, other = (
        learn(world.train_queries, world.train_references, seed=seed, query_samples=30) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.adapter, again.adapter)
    assert not np.array_equal(first.adapter, other.adapter)


def test_what_was_learned_comes_back_from_its_folder(world: CrossView, tmp_path: Path) -> None:
    adaptation = learn(world.train_queries, world.train_references)
    adaptation.save(tmp_path)
    again = Adaptation.load(tmp_path)
    assert again.record == adaptation.record
    assert again.record.check == adaptation.record.check
    assert np.array_equal(again.transform_query(world.test_queries), adaptation.transform_query(world.test_queries))


def test_the_reverter_takes_the_adapter_back(world: CrossView) -> None:
    adaptation = learn(world.train_queries, world.train_references)
    assert adaptation.adapter.shape == adaptation.reverter.shape == (48, 48)
    assert np.allclose(adaptation.adapter @ adaptation.reverter, np.eye(48), atol=1e-4)


@pytest.mark.parametrize(("views", "extra"), [(1, 0), (3, 0), (1, 40), (2, 40)])
def test_sides_of_any_length(views: int, extra: int) -> None:
    world = correlated_noise(views=views, places=100)
    distractors = correlated_noise(places=max(extra, 1), seed=9).train_references[:extra]
    references = np.concatenate([world.train_references, distractors])
    adaptation = learn(world.train_queries, references)
    baseline = recalls(standardise.fit(world.train_queries, references), world)
    assert (recalls(adaptation, world) >= baseline + 0.2).all()
    last = adaptation.history[-1]
    assert 0 < last.mutual_share <= last.labelled_share <= 1
    assert 0 < last.chosen_share <= 1


@pytest.mark.parametrize(("n_queries", "n_references"), [(1, 1), (1, 5), (5, 1), (2, 2), (3, 7), (4, 1)])
@pytest.mark.parametrize("in_a_row", [False, True])
def test_very_few_rows_give_finite_unit_output(world: CrossView, n_queries: int, n_references: int, in_a_row: bool) -> None:
    positions = np.arange(2.0 * n_references).reshape(-1, 2)
    sequences = FrameSequences.of(["a"] * n_queries, positions) if in_a_row else None
    adaptation = learn(world.train_queries[:n_queries], world.train_references[:n_references], sequences)
    out = adaptation.transform_query(world.test_queries)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    assert (adaptation.record.check is None) == (n_queries < 4)


def test_too_few_queries_for_halves_are_not_checked(world: CrossView) -> None:
    assert learn(world.train_queries[:3], world.train_references).record.check is None
    assert learn(world.train_queries[:4], world.train_references).record.check is not None
    assert learn(world.train_queries, world.train_references, iterations=0).record.check is None


@pytest.mark.parametrize("in_a_row", [False, True])
def test_constant_dimensions_and_repeated_rows_are_survived(world: CrossView, in_a_row: bool) -> None:
    queries, references = world.train_queries.copy(), world.train_references.copy()
    queries[:, :5], references[:, 3:8] = 1.5, 0.0
    queries, references = np.concatenate([queries, queries[:20], queries[:20]]), np.concatenate([references, references])
    sequences = FrameSequences.of(["a"] * 100, np.zeros((120, 2))) if in_a_row else None
    adaptation = learn(queries, references, sequences)
    for rows in (adaptation.transform_query(queries), adaptation.transform_reference(references), adaptation.adapter):
        assert np.isfinite(rows).all()
    same = learn(np.repeat(queries[:1], 9, axis=0), np.repeat(references[:1], 6, axis=0))
    assert_is_standardised(same, np.repeat(queries[:1], 9, axis=0), np.repeat(references[:1], 6, axis=0))


@pytest.mark.parametrize("samples", [1, 7, 59, 60, 1000])
def test_fewer_queries_may_be_drawn(world: CrossView, samples: int) -> None:
    adaptation = learn(world.train_queries, world.train_references, query_samples=samples)
    everything = learn(world.train_queries, world.train_references)
    assert np.array_equal(adaptation.adapter, everything.adapter) == (samples >= 60)
    # Means and deviations are those of all rows.
    assert np.array_equal(adaptation.statistics.query.mean, everything.statistics.query.mean)


def test_the_order_of_queries_is_of_no_account(world: CrossView) -> None:
    order = np.random.default_rng(0).permutation(60)
    statistics = standardise.fit(world.train_queries, world.train_references)
    q, r = statistics.transform_query(world.train_queries), statistics.transform_reference(world.train_references)
    straight, shuffled = (MutualNeighbours(CONFIG).labels(rows, r) for rows in (q, q[order]))
    assert np.array_equal(shuffled.reference, straight.reference[order])
    assert np.array_equal(shuffled.mutual, straight.mutual[order])
    adapted, again = (learn(rows, world.train_references) for rows in (world.train_queries, world.train_queries[order]))
    assert np.allclose(adapted.adapter, again.adapter, atol=1e-5)
    assert self_check(adapted).passed == self_check(again).passed


def test_the_order_of_references_is_of_no_account_along_a_flight() -> None:
    over = flight(side=6, n_shown=6, each=8)
    order = np.random.default_rng(0).permutation(36)
    moved = FrameSequences(over.sequences.rows, over.sequences.positions[order])
    straight, shuffled = learn(over.frames, over.tiles, over.sequences), learn(over.frames, over.tiles[order], moved)
    assert np.allclose(straight.adapter, shuffled.adapter, atol=1e-4)


def test_images_of_one_reference_count_as_one_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred frames over a tile do not make a covariance a hundred times as certain."""
    fits: list[Call] = []
    monkeypatch.setattr(whitening, "fit", recording(whitening.fit, fits))
    over = flight(n_shown=6, each=20)
    learn(over.frames, over.tiles, over.sequences, iterations=1)
    ((differences, weights), named) = fits[0]
    labels = SequenceLabels(CONFIG, over.sequences).labels(*_standardised(over.frames, over.tiles))
    assert np.array_equal(named["groups"], labels.reference)
    assert np.allclose(weights, labels.weight, atol=1e-5)
    assert ((weights > 0) & (weights <= 1)).all()
    assert len(differences) == len(over.frames)


def test_every_iteration_is_reported(world: CrossView) -> None:
    reported: list[IterationMetrics] = []
    adaptation = adapt(world.train_queries, world.train_references, config=CONFIG, on_iteration=reported.append)
    assert tuple(reported) == adaptation.history
    assert [metrics.iteration for metrics in reported] == [1, 2, 3, 4, 5]
    assert [metrics.changed_share is None for metrics in reported] == [True, False, False, False, False]
    assert all(0.02 <= metrics.losses["shrinkage"] <= 0.98 for metrics in reported)
    q, r = (torch.from_numpy(rows) for rows in _standardised(world.train_queries, world.train_references))
    first = hubness.reciprocal_labels(q, r, CONFIG.hubness_neighbours)
    assert reported[0].labelled_share == pytest.approx(float((first.reference != NO_LABEL).double().mean()))


def _standardised(queries: NDArray[Any], references: NDArray[Any]) -> Any:
    statistics = standardise.fit(queries, references)
    return statistics.transform_query(queries), statistics.transform_reference(references)


@pytest.mark.parametrize(
    ("name", "value"), [("dimension", 48), ("temperature", 0.2), ("learning_rate", 0.1), ("threshold", 0.3)]
)
def test_settings_that_it_has_no_use_for_are_refused(world: CrossView, name: str, value: float) -> None:
    config = AdaptConfig.model_validate({"recipe": "paper", name: value})
    with pytest.raises(ConfigError, match=name):
        adapt(world.train_queries, world.train_references, recipe="robust", config=config)


def test_a_checkpoint_is_neither_made_nor_needed(world: CrossView, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    metrics = []
    adapt(
        world.train_queries,
        world.train_references,
        config=CONFIG,
        checkpoint=checkpoint,
        on_iteration=lambda _: metrics.append(checkpoint.exists()),
    )
    assert metrics == [False] * 5
    assert not checkpoint.exists()


_FITS = """
import time
import numpy as np
from cvgl import adapt
rng = np.random.default_rng(0)
places = rng.standard_normal((1000, 384), dtype=np.float32)
queries, references = (places + 0.7 * rng.standard_normal(places.shape, dtype=np.float32) for _ in range(2))
adaptation = adapt(queries, references, recipe="robust")
assert adaptation.history[-1].labelled_share > 0.5, adaptation.history
"""


@pytest.mark.slow
def test_a_thousand_places_take_less_than_two_minutes_from_start_to_end() -> None:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", _FITS], cwd=Path(cvgl.__file__).parents[1], check=True, timeout=120)
    assert time.monotonic() - start < 120
