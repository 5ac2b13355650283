"""Blocks of references against a plain transcription of Eq. 5-8 that holds every similarity at once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from cvgl import adapt
from cvgl.adaptation import blocked, pseudo_labels
from cvgl.adaptation.adapter import LinearMap, unit_rows
from cvgl.config import AdaptConfig
from tests.adaptation.recording import Call, recording
from tests.adaptation.synthetic import cross_view

M, N, D0, D = 9, 23, 6, 8
CONFIG = AdaptConfig(recipe="paper-standardised", threshold=0.75, temperature=0.15, em_weight=0.7, reconstruction_weight=1.3)
BLOCKS = [1, 2, 5, 22, 23, 1000]


def rows(n: int, generator: torch.Generator, dtype: Any = torch.float64) -> Any:
    return unit_rows(torch.randn(n, D0, generator=generator, dtype=dtype))


def maps(generator: torch.Generator, dtype: Any = torch.float64) -> Any:
    return (LinearMap(torch.randn(inputs, outputs, generator=generator, dtype=dtype)) for inputs, outputs in ((D0, D), (D, D0)))


def problem(name: str, dtype: Any = torch.float64) -> Any:
    """Maps, queries, references and settings of one kind of trouble."""
    generator = torch.Generator().manual_seed(5)
    adapter, reverter = maps(generator, dtype)
    queries, references, config = rows(M, generator, dtype), rows(N, generator, dtype), CONFIG
    if name == "hub":
        # All queries look alike, so all choose the reference that lies between them, in the midst of a block.
        queries = unit_rows(queries[:1] + 0.1 * queries)
        references[13] = unit_rows(queries.mean(dim=0, keepdim=True))[0]
    elif name == "one reference":
        references = references[:1]
    elif name == "one query":
        queries = queries[:1]
    elif name == "no label":
        config = config.model_copy(update={"threshold": 1.0})
    elif name == "everybody is labelled":
        config = config.model_copy(update={"threshold": -1.0})
    elif name == "no reconstruction":
        config = config.model_copy(update={"reconstruction_weight": 0.0})
    elif name == "no contrast":
        config = config.model_copy(update={"em_weight": 0.0})
    elif name == "no label, no reconstruction":
        config = config.model_copy(update={"threshold": 1.0, "reconstruction_weight": 0.0})
    elif name == "cold":
        config = config.model_copy(update={"temperature": 1e-3})
    return adapter, reverter, queries, references, config


PROBLEMS = (
    "ordinary", "hub", "one reference", "one query", "no label", "everybody is labelled", "no reconstruction", "no contrast",
    "no label, no reconstruction", "cold",
)  # fmt: skip


def plain(adapter: Any, reverter: Any, queries: torch.Tensor, references: torch.Tensor, config: AdaptConfig) -> Any:
    """Eq. 5-8 row by row over all references, in the order in which they are printed."""
    z_q, z_r = (x @ adapter.weight / (x @ adapter.weight).norm(dim=1, keepdim=True) for x in (queries, references))
    choices = []  # (query, reference) pairs where s is 1
    for i in range(len(z_q)):
        j = int(torch.argmax(z_r @ z_q[i]))
        if z_q[i] @ z_r[j] > config.threshold:
            choices.append((i, j))

    def contrast(z_a: Any, z_b: Any, pairs: Any) -> Any:
        terms = []
        for i in sorted({pair[0] for pair in pairs}):
            logits = z_b @ z_a[i] / config.temperature
            positive = logits[[j for row, j in pairs if row == i]]
            terms.append(torch.logsumexp(logits, 0) - torch.logsumexp(positive, 0))
        return torch.stack(terms).mean() if terms else z_a.sum() * 0.0

    values = [z_q.new_zeros(())] * 4
    if config.em_weight:
        values[0] = contrast(z_q, z_r, choices)
        values[1] = contrast(z_r, z_q, [(j, i) for i, j in choices])
    if config.reconstruction_weight:
        values[2:] = [((x - x @ adapter.weight @ reverter.weight) ** 2).sum() for x in (queries, references)]
    total = config.em_weight * (values[0] + values[1]) + config.reconstruction_weight * (values[2] + values[3])
    torch.autograd.backward(total)
    reference = [dict(choices).get(i, -1) for i in range(len(z_q))]
    return reference, [value.item() for value in values], (z_q @ z_r.T).detach()


def gradients(*modules: torch.nn.Module) -> Any:
    grads = [module.weight.grad for module in modules]
    for module in modules:
        module.weight.grad = None
    return grads


def close(ours: Any, theirs: Any, tolerance: float) -> Any:
    if theirs is None:
        return ours is None
    return ours is not None and (ours - theirs).abs().max() <= tolerance * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_labels_losses_and_gradients_are_those_of_the_equations(name: str, block: int, dtype: Any, tolerance: float) -> None:
    adapter, reverter, queries, references, config = problem(name, dtype)
    reference, values, similarities = plain(adapter, reverter, queries, references, config)
    expected = gradients(adapter, reverter)
    labels, terms = blocked.accumulate_gradients(adapter, reverter, queries, references, config, block)
    assert labels.reference.tolist() == reference
    assert [value.item() for value in terms] == pytest.approx(values, rel=max(tolerance, 1e-9), abs=1e-9)
    assert not any(value.requires_grad for value in terms)
    for ours, theirs in zip(gradients(adapter, reverter), expected, strict=True):
        assert close(ours, theirs, tolerance)
    whole = pseudo_labels.estimate(similarities, config.threshold)
    assert torch.equal(labels.mutual, whole.mutual)
    assert torch.allclose(labels.similarity, whole.similarity, atol=1e-6)


def test_the_problems_are_what_their_names_say() -> None:
    def labels(name: str) -> Any:
        adapter, _, queries, references, config = problem(name)
        return blocked.estimate(adapter, unit_rows(adapter(queries)), references, config, 5).labels

    assert 0 < int(labels("ordinary").labelled.sum()) < M
    assert len(labels("ordinary").reference.unique()) > 3
    assert labels("hub").reference.tolist() == [13] * M
    assert int(labels("hub").mutual.sum()) == 1
    assert not labels("no label").labelled.any()
    assert labels("everybody is labelled").labelled.all()


@pytest.mark.parametrize("block", [1, 2, 3, 4, 100])
def test_the_first_of_equal_references_and_queries_is_chosen(block: int) -> None:
    eye = torch.eye(4)
    queries, references = eye[[0, 0, 1, 3]], eye[[2, 1, 0, 1, 0, 0]]
    labels = blocked.estimate(lambda x: x, queries, references, CONFIG, block).labels
    whole = pseudo_labels.estimate(queries @ references.T, CONFIG.threshold)
    assert labels.reference.tolist() == whole.reference.tolist() == [2, 2, 1, -1]
    assert labels.mutual.tolist() == whole.mutual.tolist() == [True, False, True, False]


def test_log_sums_survive_logits_beyond_the_range_of_exponentials() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, references = rows(M, generator, torch.float32), rows(N, generator, torch.float32)
    config = CONFIG.model_copy(update={"temperature": 1e-4})
    expectation = blocked.estimate(lambda x: x, queries, references, config, 4)
    expected = torch.logsumexp((queries @ references.T).double() / config.temperature, dim=1)
    assert torch.allclose(expectation.log_sums.double(), expected, rtol=1e-5)


def test_gradients_are_added_to_what_is_there() -> None:
    adapter, reverter, queries, references, config = problem("ordinary")
    for _ in range(2):
        blocked.accumulate_gradients(adapter, reverter, queries, references, config, 5)
    twice = gradients(adapter, reverter)
    blocked.accumulate_gradients(adapter, reverter, queries, references, config, 5)
    for ours, once in zip(twice, gradients(adapter, reverter), strict=True):
        assert close(ours, 2 * once, 1e-12)


@pytest.mark.parametrize("name", ["ordinary", "no label", "no reconstruction", "no label, no reconstruction"])
@pytest.mark.parametrize("side", ["everywhere", "in one reference"])
def test_what_is_not_finite_shows_in_the_loss(name: str, side: str) -> None:
    # The loop refuses a loss that is not finite; NaN must not be passed over as "no reference is similar".
    adapter, reverter, queries, references, config = problem(name)
    with torch.no_grad():
        if side == "everywhere":
            adapter.weight[2, 3] = torch.inf
        else:
            references[7] = torch.nan
    _, terms = blocked.accumulate_gradients(adapter, reverter, queries, references, config, 5)
    assert not torch.isfinite(terms.contrast() + terms.reconstruction())


def test_gradients_reach_the_maps_in_bfloat16() -> None:
    # Autocast keeps converted weights; one that the first pass made without gradient must not serve the second.
    adapter, reverter, queries, references, config = problem("everybody is labelled", torch.float32)
    plain(adapter, reverter, queries, references, config)
    expected = gradients(adapter, reverter)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        labels, terms = blocked.accumulate_gradients(adapter, reverter, queries, references, config, 5)
    assert labels.similarity.dtype == torch.float32
    assert torch.isfinite(terms.contrast() + terms.reconstruction())
    for ours, theirs in zip(gradients(adapter, reverter), expected, strict=True):
        assert close(ours, theirs, 0.03)


def test_the_same_call_gives_the_same_bits() -> None:
    def once() -> Any:
        adapter, reverter, queries, references, config = problem("ordinary", torch.float32)
        blocked.accumulate_gradients(adapter, reverter, queries, references, config, 4)
        return gradients(adapter, reverter)

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


@pytest.mark.parametrize("residual", [False, True])
def test_training_in_blocks_follows_training_at_once(monkeypatch: pytest.MonkeyPatch, residual: bool) -> None:
    world = cross_view(places=20, d0=32)
    config = AdaptConfig(
        recipe="paper-standardised", dimension=None if residual else 12, residual=residual, iterations=5, query_samples=15
    )
    at_once = adapt(world.train_queries, world.train_references, config=config)
    monkeypatch.setattr(blocked, "BLOCK_BYTES", 6 * 4 * (15 + 32 + (32 if residual else 12)))
    calls: list[Call] = []
    monkeypatch.setattr(blocked, "accumulate_gradients", recording(blocked.accumulate_gradients, calls))
    in_blocks = adapt(world.train_queries, world.train_references, config=config)
    assert [arguments[-1] for arguments, _ in calls] == [6] * 5
    for ours, theirs in zip(in_blocks.history, at_once.history, strict=True):
        assert ours.losses == pytest.approx(theirs.losses, rel=1e-4)
        assert ours.model_dump(exclude={"losses", "mean_top_similarity"}) == theirs.model_dump(
            exclude={"losses", "mean_top_similarity"}
        )
    adapted = [adaptation.transform_query(world.test_queries) for adaptation in (in_blocks, at_once)]
    assert abs(adapted[0] - adapted[1]).max() < 1e-3


def test_block_rows_follow_from_the_shapes() -> None:
    assert blocked.block_rows(700, 1536, 2048) >= 701  # the paper's largest step in University-1652 is one block
    assert blocked.block_rows(1500, 1536, 2048) < blocked.block_rows(700, 1536, 2048)
    assert blocked.block_rows(10**9, 1536, 2048) == 1


_MEASURED = """
import re, sys
from pathlib import Path
import torch
from cvgl.adaptation import blocked
from cvgl.adaptation.adapter import initial_maps, unit_rows
from cvgl.config import AdaptConfig

n, m, d0, d = int(sys.argv[1]), 300, 64, 256
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
adapter, reverter = initial_maps(d0, d, generator)
references, queries = torch.empty(n, d0), unit_rows(torch.randn(m, d0, generator=generator))
for block in references.split(1000):
    block.copy_(unit_rows(torch.randn(len(block), d0, generator=generator)))
blocked.accumulate_gradients(adapter, reverter, queries, references, AdaptConfig(recipe="paper-standardised"), 2000)
# Not getrusage: it hands a parent's peak on to its children.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak_bytes(n_references: int) -> Any:
    command = [sys.executable, "-c", _MEASURED, str(n_references)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_references() -> None:
    few, many = 20_000, 80_000
    growth = peak_bytes(many) - peak_bytes(few)
    own, adapted = ((many - few) * dimension * 4 for dimension in (64, 256))
    assert growth - own < adapted / 2  # their adapted rows, or similarities to the 300 queries, would show
