"""The frozen model f0: images in, one global descriptor each out (Li et al. 2024, Section III-C).

`load` gives an object that follows `cvgl.types.Embedder` and says, in `identity`, everything that changes its descriptors;
`load_variants` gives several descriptors of one model where a choice between them is to be made.
"""

from __future__ import annotations

from cvgl.backbones.released import RELEASED, load_released
from cvgl.backbones.variants import Variant, Variants, load_variants
from cvgl.config import BackboneConfig, Device, Pooling, Precision
from cvgl.types import Embedder

__all__ = ["Variant", "Variants", "load", "load_variants"]


def load(config: BackboneConfig, device: Device = Device.AUTO, precision: Precision = Precision.FLOAT32) -> Embedder:
    """Loads the frozen model that the settings name.

    Args:
        config: which model, which weights, and which of its activations become the descriptor.
        device: auto takes the first CUDA device, and the CPU where there is none.
        precision: of the forward pass. The weight-free 'gist' always computes in float32 on the CPU.

    Raises:
        ConfigError: the settings contradict each other or the machine (no CUDA device, image size that does not fit).
        ModelError: unknown model, or weights that cannot be read, downloaded or fitted.
    """
    if config.name == "gist":
        from cvgl.backbones.gist import GistEmbedder

        return GistEmbedder.from_config(config)
    if config.name in RELEASED:
        return load_released(config, device, precision)
    if config.pooling is Pooling.VLAD:
        from cvgl.backbones.vlad import load_vlad

        return load_vlad(config, device, precision)
    from cvgl.backbones.timm_embedder import load_timm

    return load_timm(config, device, precision)
