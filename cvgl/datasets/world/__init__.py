"""The built-in world: a small town, drawn from a seed, and satellite, drone and street pictures of it.

    from cvgl.datasets.world import WorldConfig, generate, write_manifest

Equal settings give equal bytes, whatever the number of threads. Nothing here needs a network, a GPU or weights.
"""

from cvgl.datasets.world.config import Season, WorldConfig
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
    "generate",
    "write_manifest",
    "write_university1652",
]
