"""Every window says what the whole-run model says of its images alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl.adaptation import sequence_windows
from cvgl.adaptation.hmm import forward_backward, transition_matrix
from cvgl.adaptation.sequence_windows import hubness_so_far, window_posteriors
from cvgl.errors import ConfigError


def run_of(n: int, references: int = 12, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Images that walk along a line of references, each recognised badly."""
    rng = np.random.default_rng(seed)
    positions = np.stack([100.0 * np.arange(references), np.zeros(references)], axis=1)
    cells = np.minimum(np.arange(n) // 3, references - 1)
    similarities = rng.normal(size=(n, references))
    similarities[np.arange(n), cells] += 1.5
    return similarities, transition_matrix(positions), cells


@pytest.mark.parametrize("size", [1, 2, 5, 40])
@pytest.mark.parametrize("centred", [False, True])
def test_each_window_is_inferred_as_a_sequence_of_its_own(size: int, centred: bool) -> None:
    similarities, moves, _ = run_of(17)
    posterior = window_posteriors(similarities, moves, size, centred=centred)
    assert posterior.dtype == np.float32
    for t in range(17):
        behind = (size - 1) // 2 if centred else 0
        first, last = max(0, t - (size - 1 - behind)), min(16, t + behind)
        alone = forward_backward(similarities[first : last + 1], moves).distribution[t - first]
        np.testing.assert_allclose(posterior[t], alone, rtol=1e-5, atol=1e-9)


def test_blocks_of_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    similarities, moves, _ = run_of(23)
    whole = window_posteriors(similarities, moves, 6)
    monkeypatch.setattr(sequence_windows, "_BATCH_NUMBERS", 1)
    np.testing.assert_allclose(window_posteriors(similarities, moves, 6), whole, rtol=1e-6)


def test_a_window_that_ends_with_the_image_does_not_know_the_future() -> None:
    similarities, moves, _ = run_of(12)
    changed = similarities.copy()
    changed[8:] = changed[8:, ::-1]
    before, after = (window_posteriors(values, moves, 5) for values in (similarities, changed))
    np.testing.assert_array_equal(before[:8], after[:8])
    assert not np.allclose(before[8:], after[8:])
    assert not np.allclose(window_posteriors(similarities, moves, 5, centred=True)[7], before[7])


def test_more_images_settle_more() -> None:
    similarities, moves, cells = run_of(90, references=30, seed=4)
    similarities[np.arange(90), cells] += 1
    right = [(window_posteriors(similarities, moves, size).argmax(axis=1) == cells).mean() for size in (1, 20)]
    assert (similarities.argmax(axis=1) == cells).mean() == right[0]
    assert right[1] > right[0] + 0.15


def test_a_missing_image_is_bridged_by_its_neighbours() -> None:
    similarities, moves, cells = run_of(9, seed=2)
    similarities[np.arange(9), cells] += 4
    similarities[4] = 0.3
    assert window_posteriors(similarities, moves, 5, centred=True)[4].argmax() == cells[4]


def test_one_image_one_reference_and_nothing_known() -> None:
    single = window_posteriors(np.array([[0.1, 0.9, 0.2]]), transition_matrix(np.array([[0.0, 0], [10, 0], [20, 0]])))
    assert single.shape == (1, 3)
    assert single.argmax() == 1
    np.testing.assert_allclose(window_posteriors(np.ones((4, 1)), np.ones((1, 1)), 3), 1)
    unknown = window_posteriors(np.zeros((4, 3)), transition_matrix(np.array([[0.0, 0], [10, 0], [20, 0]])), 2)
    np.testing.assert_allclose(unknown.sum(axis=1), 1, rtol=1e-6)
    assert window_posteriors(np.zeros((0, 3)), np.ones((3, 3))).shape == (0, 3)


def test_hubness_is_that_of_the_images_so_far() -> None:
    similarities = np.random.default_rng(0).normal(size=(15, 6)).astype(np.float32)
    similarities[3] = 0.25  # missing: equally similar to everything
    hubness = hubness_so_far(similarities, neighbours=4)
    for t in range(15):
        images = np.delete(similarities[: t + 1], [3] if t >= 3 else [], axis=0)
        np.testing.assert_allclose(hubness[t], np.sort(images, axis=0)[-4:].mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(hubness_so_far(np.zeros((3, 6), np.float32)), np.zeros((3, 6)))
    assert hubness_so_far(np.zeros((0, 6), np.float32)).shape == (0, 6)


@pytest.mark.parametrize("centred", [False, True])
def test_a_window_takes_half_of_what_is_known_at_its_end(centred: bool) -> None:
    similarities, moves, _ = run_of(17)
    similarities[5] = 0.5
    hubness = hubness_so_far(similarities.astype(np.float32))
    posterior = window_posteriors(similarities, moves, 6, centred=centred, hubness=hubness)
    for t in range(17):
        first, last = max(0, t - (3 if centred else 5)), min(16, t + (2 if centred else 0))
        values = similarities[first : last + 1] - hubness[last] / 2
        if first <= 5 <= last:
            values[5 - first] = 0
        np.testing.assert_allclose(posterior[t], forward_backward(values, moves).distribution[t - first], rtol=1e-4, atol=1e-8)


def test_a_reference_near_to_everything_does_not_hold_a_flight_up() -> None:
    similarities, moves, cells = run_of(60, references=20)
    similarities[np.arange(60), cells] += 1
    similarities[:, 7] += 1.5
    plain = window_posteriors(similarities, moves, 20)
    corrected = window_posteriors(similarities, moves, 20, hubness=hubness_so_far(similarities.astype(np.float32)))
    assert (corrected.argmax(axis=1) == cells).mean() > (plain.argmax(axis=1) == cells).mean() + 0.1


def test_a_window_needs_an_image() -> None:
    with pytest.raises(ConfigError, match="window of 0"):
        window_posteriors(np.zeros((2, 3)), np.ones((3, 3)), 0)
