from .placement import Answer, FramePlacement, JointPlacement, LikelyAnswer, Placement, Position, to_geojson
from .placing import Reference, ReferenceIndex, localize_together, locate
from .sequence import localize_sequence

__all__ = [
    "Answer",
    "FramePlacement",
    "JointPlacement",
    "LikelyAnswer",
    "Placement",
    "Position",
    "Reference",
    "ReferenceIndex",
    "localize_sequence",
    "localize_together",
    "locate",
    "to_geojson",
]
