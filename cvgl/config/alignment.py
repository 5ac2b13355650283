"""Making both views show the same ground, and choosing how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cvgl.config.settings import Settings
from cvgl.types import View


class AlignmentConfig(Settings):
    """Making both views show the same ground at any heading, before a descriptor is computed. No setting needs a label."""

    query_crop: float = Field(
        1.0, gt=0, le=1, description="centre share of each side of a drone or street image that is embedded"
    )
    reference_crop: float = Field(
        1.0, gt=0, le=1, description="centre share of each side of a tile that is embedded, for images that show less ground"
    )
    reference_rotations: Literal[1, 2, 4, 8] = Field(
        1, description="the reference descriptor is the mean over this many turns of the tile"
    )
    query_rotations: Literal[1, 4] = Field(
        1, description="the query descriptor is the mean over this many turns of the image (of a panorama: shifts)"
    )
    flips: bool = Field(False, description="each descriptor is the mean with that of the mirrored image, in both views")
    tilt: float = Field(
        0.0, ge=0, le=70, description="degrees from straight down at which drones look; their images are warped to look down"
    )
    field_of_view: float = Field(60.0, ge=5, le=120, description="vertical, in degrees; assumed where tilt is given")
    polar: bool = Field(False, description="tiles are unrolled around their middle: columns are azimuths, the top is far")
    reference_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,), min_length=1, description="the reference descriptor is the mean over these centre shares of the tile"
    )


class AlignConfig(Settings):
    """Choosing the alignment without labels: which candidates are tried, on how many images, at which cost.

    Settings of the extraction that were given, rather than left at their defaults, are kept as they are.
    """

    enabled: bool = Field(True, description="choose how the views are aligned, without labels, before they are described")
    samples: int = Field(256, ge=1, le=100_000, description="training images of each view that candidates are tried on")
    max_passes: int = Field(8192, ge=1, description="model inputs that the choice may cost in total")
    seed: int = Field(0, ge=0, lt=2**31, description="of the sample")
    query_crops: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.85, 0.7, 0.6, 0.5), min_length=1, description="centre shares of a query image's sides that are tried"
    )
    reference_crops: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.8, 0.65), min_length=1, description="those below 1 are tried only when the whole query image is best"
    )
    rotations: tuple[Literal[1, 2, 4, 8], ...] = Field((1, 4), min_length=1, description="of the references")
    rings: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(
        (1, 2, 4), min_length=1, description="numbers of rings to pool that are tried, where none was given"
    )
    more_layers: bool = Field(True, description="also try the layer before the model's own joined to it")
    tilts: tuple[Annotated[float, Field(ge=0, le=70)], ...] = Field((0.0, 20.0, 35.0, 50.0), description="for drone images")
    query_view: View | None = Field(None, description="which view is aligned with the tiles; default: the only one there is")
