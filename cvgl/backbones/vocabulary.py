"""Visual words for VLAD: learned by k-means under the cosine, and stored as safetensors."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cvgl.backbones.checkpoint import DAMAGED, sha256_tensors
from cvgl.errors import ModelError, require
from cvgl.lake import read_bytes

if TYPE_CHECKING:
    from cvgl.types import Float32Array

_ITERATIONS = 100  # as in AnyLoc; k-means has converged long before on most data


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Visual words.

    Attributes:
        words: of each layer of the descriptor, float32 (k, C).
    """

    words: tuple[torch.Tensor, ...]

    @property
    def clusters(self) -> int:
        """Number of words, k."""
        return len(self.words[0])

    @property
    def sha256(self) -> str:
        """Hash of the words."""
        return sha256_tensors(self._named())

    def to_bytes(self, record: Mapping[str, Any]) -> bytes:
        """A safetensors file with a record of how the words were learned; equal input gives equal bytes."""
        from safetensors.torch import save

        content: bytes = save(self._named(), metadata={"record": json.dumps(record, sort_keys=True)})
        return content

    def _named(self) -> dict[str, torch.Tensor]:
        return {f"words.{index}": words.contiguous() for index, words in enumerate(self.words)}


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a vocabulary: a .safetensors file of ours, or a torch file with one matrix of words, as AnyLoc publishes them.

    Raises:
        ModelError: missing, damaged, or holding something else.
    """
    if not path.is_file():
        raise ModelError("there is no vocabulary", where=path, fix="check --vocabulary, or leave it out to learn one")
    words = _read_safetensors(path) if path.suffix == ".safetensors" else (_read_matrix(path),)
    usable = all(matrix.ndim == 2 and matrix.numel() and bool(torch.isfinite(matrix).all()) for matrix in words)
    if not words or not usable or len({len(matrix) for matrix in words}) > 1:
        raise ModelError(
            "the file holds no matrix of visual words for each layer", where=path, fix="learn the vocabulary again"
        )
    return Vocabulary(tuple(matrix.float() for matrix in words))


def _read_safetensors(path: Path) -> tuple[torch.Tensor, ...]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_bytes(path)  # safetensors reports a file without read permission as missing
    try:
        content = load(data)
        return tuple(content[f"words.{index}"] for index in range(len(content)))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"the vocabulary is damaged: {error}", where=path, fix="move it away; it is learned again") from error


def _read_matrix(path: Path) -> torch.Tensor:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *DAMAGED) as error:
        raise ModelError(
            f"the vocabulary is not a torch file that holds one tensor alone ({type(error).__name__})",
            where=path,
            fix="save the matrix of words with torch.save, or as .safetensors under 'words.0'",
        ) from error
    if not isinstance(content, torch.Tensor):
        raise ModelError(
            f"the vocabulary holds a {type(content).__name__}, not a matrix of words",
            where=path,
            fix="save the matrix of words alone, or as .safetensors under 'words.0'",
        )
    return content


def learn_words(rows: Float32Array, clusters: int, seed: int) -> torch.Tensor:
    """Visual words by k-means under the cosine.

    Args:
        rows: float32 (n, C), unit rows, n >= clusters.
        clusters: k.
        seed: of the rows that the words start as.

    Returns:
        float32 (k, C): the mean of each word's rows; of a word that ends without any, the direction where it stood.

    Raises:
        ModelError: fewer rows than clusters.
        MissingDependencyError: faiss is not installed.
    """
    if len(rows) < clusters:
        raise ModelError(
            f"{len(rows)} local descriptors cannot be sorted into {clusters} visual words",
            where="backbone.clusters",
            fix="use fewer clusters, more training images, or a larger image_size",
        )
    faiss = require("faiss", extra="pipeline", purpose="learn visual words")
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # sums in one order give one vocabulary on any number of cores
    try:
        means = faiss.Kmeans(
            rows.shape[1],
            clusters,
            niter=_ITERATIONS,
            spherical=True,
            seed=seed,
            min_points_per_centroid=1,
            max_points_per_centroid=len(rows),  # how many rows there are is the caller's decision: all are used
        )
        means.train(np.ascontiguousarray(rows))
        _, nearest = means.assign(rows)
    finally:
        faiss.omp_set_num_threads(threads)
    words = np.asarray(means.centroids, np.float32)
    for word in np.unique(nearest):
        words[word] = rows[nearest == word].mean(axis=0, dtype=np.float64)
    return torch.from_numpy(words)
