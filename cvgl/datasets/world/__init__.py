"""The built-in world: a small town, drawn from a seed, and satellite, drone and street pictures of it.

    from cvgl.datasets.world import WorldConfig, generate, write_manifest

Equal settings give equal bytes, whatever the number of threads. Nothing here needs a network, a GPU or weights.
"""

from cvgl.datasets.world.config import Season, WorldConfig
from cvgl.datasets.world.layouts import (
    for_layout,
    write_cvact,
    write_cvusa,
    write_denseuav,
    write_layout,
    write_sues200,
    write_university160k,
    write_university160k_official,
)
from cvgl.datasets.world.scene import Picture, Place, World, generate
from cvgl.datasets.world.sheet import contact_sheet
from cvgl.datasets.world.writer import write_manifest, write_university1652

__all__ = [
    "Picture",
    "Place",
    "Season",
    "World",
    "WorldConfig",
    "contact_sheet",
    "for_layout",
    "generate",
    "write_cvact",
    "write_cvusa",
    "write_denseuav",
    "write_layout",
    "write_manifest",
    "write_sues200",
    "write_university160k",
    "write_university160k_official",
    "write_university1652",
]
