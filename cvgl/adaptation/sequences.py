"""Images taken one after the other: what one of them leaves open, its neighbours in time can settle.

A flight or walk is a hidden Markov chain. Its state is the place that is shown, its evidence the similarities, and
between two images it stays, or moves to a place near by, or (rarely) starts anew anywhere. References at one position are
looks of one place (turned, or from higher up); the best of them speaks for it. Where references lie is the map's own data,
and the order of images comes from the camera: neither is a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvgl.errors import DataError
from cvgl.hashing import digest_lines, sha256_bytes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

MOST_REFERENCES = 4096
"""Places; above this the moves between them are too many to weigh, and images are labelled one by one."""

EVIDENCE = 0.6
"""How many nats a similarity of one standard deviation above its picture's mean counts. Below 1, since consecutive images
show the same ground from nearly the same point, and err together."""

NEW_START = 1e-4  # probability of going on somewhere else: a cut, a gap in the recording
REACH = 0.8  # deviation of a move, in distances between neighbouring references
FIRST_MOVING = 0.3  # where the probability of leaving a reference starts, before it is estimated
ROUNDS = 3  # of estimating it


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Which queries were taken in a row, and where the references lie.

    Attributes:
        runs: int64, the query rows of each sequence in the order in which they were taken; each row in one run.
        positions: float64 (N, 2), east and north of each reference in metres, in any frame.
    """

    runs: tuple[NDArray[np.int64], ...]
    positions: Float64Array

    @classmethod
    def of(cls, sequences: Sequence[object], reference_positions: ArrayLike) -> Trajectories:
        """From one name a query, queries being in the order in which they were taken.

        Args:
            sequences: M names of sequences; None, or NaN as tables have it, where a query is on its own.
            reference_positions: (N, 2) metres.

        Raises:
            DataError: positions that are not finite pairs.
        """
        positions = np.asarray(reference_positions, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
            raise DataError(
                f"positions of references are {positions.shape}, or not finite",
                where="reference_positions",
                fix="give east and north of every reference in metres, shape (N, 2)",
            )
        rows: dict[object, list[int]] = {}
        for row, name in enumerate(sequences):
            alone = name is None or name != name
            rows.setdefault((row,) if alone else (name, "sequence"), []).append(row)
        return cls(tuple(np.asarray(run, np.int64) for run in rows.values()), positions)

    def check(self, n_queries: int, n_references: int) -> None:
        """Compares with the descriptors that these are about.

        Raises:
            DataError: they are of other queries or references.
        """
        rows = np.sort(np.concatenate([*self.runs, np.zeros(0, np.int64)]))
        if not np.array_equal(rows, np.arange(n_queries)):
            raise DataError(
                f"runs hold {len(rows)} rows, which are not the {n_queries} queries, each once",
                where="trajectories",
                fix="name a sequence, or None, for every query",
            )
        if len(self.positions) != n_references:
            raise DataError(
                f"there are {len(self.positions)} positions for {n_references} references",
                where="trajectories",
                fix="give one position a reference",
            )

    def digest(self) -> str:
        """Hash of the runs and positions."""
        parts = [self.positions.astype("<f8").tobytes(), *(run.astype("<i8").tobytes() for run in self.runs)]
        # Before looks were known, references at one position were learned from as places of their own.
        looks = ["looks"] if len(places_of(self.positions).centres) < len(self.positions) else []
        return digest_lines([*(sha256_bytes(part) for part in parts), *looks])

    @property
    def usable(self) -> bool:
        """Whether time and place can help: half of the images are in runs of several, over several places, not too many.

        Images on their own would all be labelled here, without the doubt that mutual preference casts on them.
        """
        alone = sum(len(run) == 1 for run in self.runs)
        in_runs = sum(len(run) for run in self.runs) - alone
        return in_runs >= max(alone, 1) and 1 < len(places_of(self.positions).centres) <= MOST_REFERENCES


class Places(NamedTuple):
    """The places of a map; references at exactly one position are looks of one place.

    Attributes:
        centres: float64 (P, 2), in the order in which they first occur.
        first: int64 (P,), the first reference of each.
        of_reference: int64 (N,), the place of each reference.
    """

    centres: Float64Array
    first: NDArray[np.int64]
    of_reference: NDArray[np.int64]

    def best(self, similarities: NDArray[Any]) -> NDArray[Any]:
        """Similarities (n, N) to references -> (n, P) to places: of each its most similar look."""
        if len(self.centres) == len(self.of_reference):
            return similarities
        found = np.full((len(similarities), len(self.centres)), -np.inf, similarities.dtype)
        for look in self._looks():  # as many rounds as a place has looks
            known = look >= 0
            found[:, known] = np.maximum(found[:, known], similarities[:, look[known]])
        return found

    def shown(self, similarities: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The reference (n,) that is each picture's most similar look of a place (n,), the first of equals."""
        rows, (first, *others) = np.arange(len(places)), self._looks()
        found: NDArray[np.int64] = first[places]
        for other in others:
            look = other[places]
            better = (look >= 0) & (similarities[rows, look] > similarities[rows, found])
            found = np.where(better, look, found)
        return found

    def spread(self, posterior: NDArray[Any], similarities: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (n, P) of places -> (n, N) of references: each place's goes to its look most similar to the picture."""
        if len(self.centres) == len(self.of_reference):
            return posterior
        found, looks = np.zeros(similarities.shape, posterior.dtype), self._looks()
        for row, given in enumerate(posterior):
            values = np.where(looks >= 0, similarities[row][looks], -np.inf)
            found[row, looks[values.argmax(axis=0), np.arange(len(given))]] = given
        return found

    def _looks(self) -> NDArray[np.int64]:
        """References (L, P) of each place in order, -1 where a place has fewer than L."""
        order = np.argsort(self.of_reference, kind="stable")
        counts = np.bincount(self.of_reference)
        number = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        looks = np.full((int(counts.max()), len(counts)), -1)
        looks[number, self.of_reference[order]] = order
        return looks


def places_of(positions: Float64Array) -> Places:
    """Groups references by their position, float64 (N, 2) or more columns that tell places apart."""
    _, first, group = np.unique(positions, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    in_order = np.sort(first)
    return Places(positions[in_order], in_order, rank[group.ravel()])


class Belief(NamedTuple):
    """What a whole run says about each of its images.

    Attributes:
        reference: int64 (n,), the most probable one.
        probability: float64 (n,), of it.
        moving: estimated probability of leaving a reference between two images.
        posterior: float64 (n, N), of every reference; rows add up to 1.
    """

    reference: NDArray[np.int64]
    probability: Float64Array
    moving: float
    posterior: Float64Array


def steps(positions: Float64Array) -> Float64Array:
    """Where a chain goes that leaves its reference: rows of probabilities (N, N), by distance, zero on the diagonal."""
    distances = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    spacing = float(np.median(distances.min(axis=1)))
    if spacing == 0:  # references on top of one another: any of them is as near as another
        spacing = max(float(distances[np.isfinite(distances)].mean()), 1.0)
    weights = np.exp(-np.square(distances / spacing / REACH) / 2)
    totals = weights.sum(axis=1, keepdims=True)
    # A reference far from all others is left for any of them.
    anywhere = np.isfinite(distances) / (len(positions) - 1)
    return np.asarray(np.where(totals > 0, weights / np.where(totals > 0, totals, 1), anywhere))


def course_gain(similarities: Float64Array, moves: Float64Array, moving: float = FIRST_MOVING) -> Float64Array:
    """How much better a course explains each image than chance does: a measure of similarities that needs no label.

    The logarithm of how probable an picture's scores are after those before it, over how probable they are on their own.
    Similarities that know the place agree from image to image; those that do not are surprised each time.

    Args:
        similarities: float64 (n, N), of each image of one run to each reference, in the order taken.
        moves: of `steps`.
        moving: probability of leaving a reference between two images.

    Returns:
        float64 (n,), in nats; 0 for the first image.
    """
    scores = evidence_of(similarities)
    transitions = _transitions(moves, moving)
    gains = np.zeros(len(scores))
    belief = scores[0] / scores[0].sum()
    for t in range(1, len(scores)):
        weighted = scores[t] * (belief @ transitions)
        total = weighted.sum()
        gains[t] = np.log(total) - np.log(scores[t].mean())
        belief = weighted / total
    return gains


def believe(similarities: Float64Array, moves: Float64Array, moving: float = FIRST_MOVING) -> Belief:
    """Forward-backward over one run, with the probability of moving estimated from the run itself (Baum-Welch).

    Args:
        similarities: float64 (n, N), of each image to each reference, hubness-corrected, in the order taken.
        moves: of `steps`.
        moving: where its estimate starts.
    """
    scores = evidence_of(similarities)
    for _ in range(ROUNDS):
        posterior, staying = _forward_backward(scores, _transitions(moves, moving), 1 - moving)
        if len(scores) > 1:
            moving = float(np.clip(1 - staying / (len(scores) - 1), 0.01, 0.9))
    reference = posterior.argmax(axis=1)
    return Belief(reference, posterior[np.arange(len(reference)), reference], moving, posterior)


def evidence_of(similarities: Float64Array) -> Float64Array:
    """How well each reference explains each image, float64 (n, N), up to a factor a row; equal where nothing is known."""
    deviation = similarities.std(axis=1, keepdims=True)
    scores = EVIDENCE * (similarities - similarities.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return np.asarray(np.exp(scores - scores.max(axis=1, keepdims=True)))


def _transitions(moves: Float64Array, moving: float) -> Float64Array:
    """From one image to the next: stay, move, or start anew."""
    course = (1 - moving) * np.eye(len(moves)) + moving * moves
    return np.asarray((1 - NEW_START) * course + NEW_START / len(moves))


def _forward_backward(scores: Float64Array, transitions: Float64Array, stay: float) -> tuple[Float64Array, float]:
    """Posterior (n, N), rows adding up to 1, and the expected number of times that the chain stayed."""
    n, count = scores.shape
    forward, backward = np.empty((n, count)), np.ones((n, count))
    forward[0] = scores[0] / scores[0].sum()
    for t in range(1, n):
        forward[t] = scores[t] * (forward[t - 1] @ transitions)
        forward[t] /= forward[t].sum()
    staying = 0.0
    for t in range(n - 2, -1, -1):
        ahead = scores[t + 1] * backward[t + 1]
        backward[t] = transitions @ ahead
        both = forward[t] * backward[t]
        staying += float((forward[t] * ahead).sum() * stay / both.sum())
        backward[t] /= backward[t].sum()
    posterior = forward * backward
    return posterior / posterior.sum(axis=1, keepdims=True), staying
