"""The built-in world: a small town, drawn from a seed, and satellite, drone and street images of it.

    from cvgl.synthetic import WorldConfig, generate, write_manifest

Equal settings give equal bytes, whatever the number of threads. Nothing here needs a network, a GPU or weights.
"""

from cvgl.synthetic.config import Season, WorldConfig
from cvgl.synthetic.layouts import (
    for_layout,
    write_cvact,
    write_cvusa,
    write_denseuav,
    write_layout,
    write_sues200,
    write_university160k,
    write_university160k_official,
)
from cvgl.synthetic.scene import Location, Shot, World, generate
from cvgl.synthetic.sheet import contact_sheet
from cvgl.synthetic.writer import write_manifest, write_university1652

__all__ = [
    "Location",
    "Season",
    "Shot",
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
