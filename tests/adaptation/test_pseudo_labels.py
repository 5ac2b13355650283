from __future__ import annotations

import numpy as np
import torch

from cvgl.adaptation import pseudo_labels


def test_each_query_takes_its_best_reference_above_the_threshold() -> None:
    similarities = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.3, 0.0], [0.05, 0.09, 0.1], [0.0, 0.2, 0.11]])
    labels = pseudo_labels.estimate(similarities, threshold=0.1)
    assert labels.reference.tolist() == [0, 0, pseudo_labels.NO_LABEL, 1]  # 0.1 is not above 0.1
    assert labels.labelled.tolist() == [True, True, False, True]
    assert torch.allclose(labels.similarity, torch.tensor([0.9, 0.8, 0.1, 0.2]))


def test_matrix_is_equation_5() -> None:
    rng = np.random.default_rng(0)
    similarities = rng.uniform(-1, 1, (20, 7)).astype(np.float32)
    expected = np.zeros((20, 7), dtype=bool)
    for i in range(20):
        j = int(np.argmax(similarities[i]))
        expected[i, j] = similarities[i, j] > 0.5
    labels = pseudo_labels.estimate(torch.from_numpy(similarities), threshold=0.5)
    assert np.array_equal(labels.matrix(7).numpy(), expected)
    assert 0 < expected.sum() < 20  # both kinds of rows were seen


def test_mutual_means_that_the_reference_prefers_the_query_too() -> None:
    similarities = torch.tensor([[0.9, 0.2], [0.8, 0.3], [0.0, 0.05]])
    labels = pseudo_labels.estimate(similarities, threshold=0.1)
    assert labels.mutual.tolist() == [True, False, False]


def test_equal_references_give_the_first() -> None:
    labels = pseudo_labels.estimate(torch.full((3, 4), 0.5), threshold=0.1)
    assert labels.reference.tolist() == [0, 0, 0]


def test_nothing_above_the_threshold_gives_no_label() -> None:
    labels = pseudo_labels.estimate(torch.full((3, 4), -0.5), threshold=0.1)
    assert not labels.matrix(4).any()
    assert not labels.mutual.any()


def test_no_gradient_flows_through_the_labels() -> None:
    similarities = torch.randn(3, 4, requires_grad=True)
    assert not pseudo_labels.estimate(similarities, threshold=-1).similarity.requires_grad


def test_labels_that_are_not_mutual_fall_when_enough_pairs_agree() -> None:
    similarities = torch.tensor([[0.9, 0.2, 0.0], [0.8, 0.3, 0.0], [0.0, 0.6, 0.1], [0.0, 0.05, 0.01]])
    labels = pseudo_labels.estimate(similarities, threshold=0.1)
    assert labels.reference.tolist() == [0, 0, 1, pseudo_labels.NO_LABEL]
    assert pseudo_labels.mutual_only(labels, more_than=2) is labels
    mutual = pseudo_labels.mutual_only(labels, more_than=1)
    assert mutual.reference.tolist() == [0, pseudo_labels.NO_LABEL, 1, pseudo_labels.NO_LABEL]
    assert torch.equal(mutual.similarity, labels.similarity)
    assert torch.equal(mutual.mutual, labels.mutual)
