"""A released model as an embedder: one network and one kind of input for each view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.device import apply_precision, resolve
from cvgl.backbones.released.inputs import ReleasedInput
from cvgl.config import Device, Precision
from cvgl.errors import ConfigError, ModelError
from cvgl.hashing import sha256_file
from cvgl.types import View

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same image would get another descriptor


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a loaded released model.

    Attributes:
        networks: of each view that the model knows, (B, 3, H, W) -> (B, d); views may share one.
        inputs: of the same views.
        settings: further settings that change a descriptor.
    """

    networks: Mapping[View, nn.Module]
    inputs: Mapping[View, ReleasedInput]
    settings: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Branch:
    """A released model for the images of one view. Follows `cvgl.types.Embedder`."""

    network: nn.Module
    inputs: ReleasedInput
    device: torch.device
    precision: Precision
    dimension: int
    identity: Mapping[str, str | int | float]

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.inputs(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> float32 (B, d), unit rows."""
        with torch.inference_mode(), apply_precision(self.device, self.precision):
            rows = self.network(torch.from_numpy(batch).to(self.device))
            return F.normalize(rows.float(), dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True)
class ReleasedEmbedder:
    """Follows `cvgl.types.ViewDependentEmbedder`."""

    name: str
    branches: Mapping[View, Branch]

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return next(iter(self.branches.values())).dimension

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Of the whole model: all its branches, with the tiles' input as the one that is named first."""
        return self.branches[View.SATELLITE].identity

    def for_view(self, view: View) -> Branch:
        """The branch for images of a view.

        Raises:
            ModelError: the model was not made for this view.
        """
        if view not in self.branches:
            raise ModelError(
                f"the released model '{self.name}' knows no {view} images, only {' and '.join(sorted(self.branches))}",
                where="backbone.name",
                fix="use a dataset without them, or another model",
            )
        return self.branches[view]

    def prepare(self, image: Image) -> Float32Array:
        """Not available: each view has its own branch.

        Raises:
            ModelError: always; use `for_view`.
        """
        raise self._needs_view()

    def embed(self, batch: Float32Array) -> Float32Array:
        """Not available: each view has its own branch.

        Raises:
            ModelError: always; use `for_view`.
        """
        raise self._needs_view()

    def _needs_view(self) -> ModelError:
        return ModelError(
            f"the released model '{self.name}' has a branch for each view",
            where="Embedder",
            fix="use embedder.for_view(view)",
        )


def assembled(name: str, parts: Parts, path: Path, device: Device, precision: Precision) -> ReleasedEmbedder:
    """Puts networks on their device and asks each how long a descriptor is."""
    target = resolve(device)
    apply_precision(target, precision)  # fails here rather than at the first batch
    identity = {
        "backbone": name,
        "weights_sha256": sha256_file(path),
        **dict.fromkeys(("facet", "layer", "pooling"), "released"),
        "precision": str(precision),
        "implementation": f"released-{IMPLEMENTATION}",
        **parts.inputs[View.SATELLITE].identity(),
        **{f"{view}_{key}": value for view, inputs in parts.inputs.items() for key, value in inputs.identity().items()},
        **parts.settings,
    }
    branches = {}
    for view, network in parts.networks.items():
        network.eval().requires_grad_(False).to(target)
        length = _length(network, parts.inputs[view], target)
        branches[view] = Branch(network, parts.inputs[view], target, precision, length, identity)
    return ReleasedEmbedder(name, branches)


def _length(network: nn.Module, inputs: ReleasedInput, device: torch.device) -> int:
    """Numbers in a descriptor, and proof that the network accepts its input, by one pass of an empty image."""
    try:
        with torch.inference_mode():
            return int(network(torch.zeros(1, 3, inputs.height, inputs.width, device=device)).shape[1])
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        raise ConfigError(
            f"the released model does not accept {inputs.width} x {inputs.height} pixels: {str(error).splitlines()[0]}",
            where="backbone.image_size",
            fix="leave it out, or choose a larger one",
        ) from error
