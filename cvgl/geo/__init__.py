"""Positions and the distances between them.

A position is either geographic (degrees, WGS 84) or planar (x east, y north, in a CRS, whatever order its axes have there).
The CRS ``"local"`` is a metric frame without a known place on Earth, such as a map with a world file and no projection.
Distances are metres on the ground, along the geodesic, in every CRS; only ``"local"`` is a plane.
"""

from cvgl.geo.areas import FAR_OUTSIDE, check_planar, in_area_of_use
from cvgl.geo.datum import Geographic, missing_grids, no_shift, to_geographic, to_wgs84, within_bounds
from cvgl.geo.distances import (
    GEOGRAPHIC,
    ground_distance_m,
    is_true_to_scale,
    local_m,
    nearest_rows,
    own_degrees,
)
from cvgl.geo.frames import LOCAL_CRS, Frame, canonical_crs, frame_of, full_turn, is_local, is_wgs84, same_crs
from cvgl.geo.position import Position
from cvgl.geo.sphere import EARTH_RADIUS_M, check_geographic, haversine_m, planar_m, to_local_m

__all__ = [
    "EARTH_RADIUS_M",
    "FAR_OUTSIDE",
    "GEOGRAPHIC",
    "LOCAL_CRS",
    "Frame",
    "Geographic",
    "Position",
    "canonical_crs",
    "check_geographic",
    "check_planar",
    "frame_of",
    "full_turn",
    "ground_distance_m",
    "haversine_m",
    "in_area_of_use",
    "is_local",
    "is_true_to_scale",
    "is_wgs84",
    "local_m",
    "missing_grids",
    "nearest_rows",
    "no_shift",
    "own_degrees",
    "planar_m",
    "same_crs",
    "to_geographic",
    "to_local_m",
    "to_wgs84",
    "within_bounds",
]
