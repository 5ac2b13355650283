"""The nouns that the packages of cvgl exchange. No logic, no heavy imports beyond numpy's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Float32Array: TypeAlias = NDArray[np.float32]


class View(StrEnum):
    """From where an image was taken. Satellite images are the references; the others are what has to be placed."""

    DRONE = "drone"
    GROUND = "ground"
    SATELLITE = "satellite"

    @property
    def is_reference(self) -> bool:
        """Whether its images are the map."""
        return self is View.SATELLITE


class Subset(StrEnum):
    """What an image may be used for; one image can be in several (a map serves adaptation and test)."""

    TRAIN = "train"  # adaptation without labels
    QUERY = "query"  # asked for in evaluation
    GALLERY = "gallery"  # searched in evaluation and localisation


class Representation(StrEnum):
    """Which descriptors a figure belongs to."""

    FROZEN = "frozen"  # the foundation model as it is
    STANDARDISED = "standardised"  # each view minus its own mean, over its own deviation: the honest baseline
    ADAPTED = "adapted"  # through the learned adapter: what decides about a model
    ADAPTED_CORRECTED = "adapted-corrected"  # and hubness corrected at query time, where the adapter can
    ADAPTED_RERANKED = "adapted-reranked"  # adapted, and the answers re-ranked by k-reciprocal neighbours, where asked for
    ADAPTED_WINDOW = "adapted-window"  # adapted, and each image placed with those just before it in its sequence


@dataclass(frozen=True, slots=True)
class Direction:
    """A retrieval direction such as drone_to_satellite.

    "Query" and "gallery" are roles in an evaluation. They are not the two sides of an adapter: a satellite image goes
    through the adapter's reference side in both directions.
    """

    query_view: View
    gallery_view: View

    def __str__(self) -> str:
        return f"{self.query_view}_to_{self.gallery_view}"


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Points at something finished in the lake; what stages hand to one another instead of arrays.

    Attributes:
        kind: images, features, adapter, evaluation or report.
        path: file or folder.
        digest: hash of what it holds; equal digests mean equal bytes.
        name: the dataset (images, features) or run (adapter, evaluation, report).
    """

    kind: str
    path: Path
    digest: str
    name: str


@runtime_checkable
class Embedder(Protocol):
    """A frozen model f0 that turns images into global descriptors (Li et al. 2024, Section III-C)."""

    @property
    def dimension(self) -> int:
        """Length d0 of a descriptor."""
        ...

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything about the model that changes a descriptor: name, weights sha256, facet, layer, pooling, size, ..."""
        ...

    def prepare(self, image: Image) -> Float32Array:
        """One RGB image -> float32 (3, H, W) model input. Called from several threads at once."""
        ...

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> float32 (B, d0), unit rows."""
        ...


@runtime_checkable
class ViewDependentEmbedder(Protocol):
    """An `Embedder` that does with an image what its view asks for: another network, or another kind of input."""

    def for_view(self, view: View) -> Embedder:
        """The embedder for images of a view; all have the same dimension and identity.

        Raises:
            ModelError: the model was not made for this view.
        """
        ...


class Progress(Protocol):
    """Told how far a long piece of work is. `total` may grow while new work is found."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Takes a report: `done` of `total` units of work, and what they are."""
        ...


def silent(done: int, total: int, message: str = "") -> None:
    """The progress callback that says nothing."""
