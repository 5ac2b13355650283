"""The figures that this project wants to reach on the sets at hand. They are goals of its own; nobody has published them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

D_TO_S, S_TO_D = "drone_to_satellite", "satellite_to_drone"
RECALL, NEAR = "R@1", "within 50 m"
SWIN, VIT = "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to be reached by the recipe `robust`, as the mean over seeds.

    Attributes:
        source: name of the data set, `cvgl.experiments.sources.SourceConfig.name`.
        aligned: with the views aligned, by choice or by hand; otherwise on whole images as they are.
        backbone: timm's name of the frozen model.
        direction: which was asked.
        measure: R@1, or the share of queries placed within 50 m.
        value: fraction.
        window: images that an answer rests on; none: one.
    """

    source: str
    aligned: bool
    backbone: str
    direction: str
    measure: str
    value: float
    window: int | None = None


def _flights(date: str) -> tuple[Target, ...]:
    name = f"flights-{date}"
    return (
        Target(name, True, SWIN, D_TO_S, RECALL, 0.40),
        Target(name, True, SWIN, D_TO_S, NEAR, 0.55),
        Target(name, True, SWIN, D_TO_S, NEAR, 0.80, window=20),
    )


TARGETS: Final = (
    Target("university_mini", True, SWIN, D_TO_S, RECALL, 0.85),
    Target("university_mini", True, SWIN, S_TO_D, RECALL, 0.85),
    Target("university_mini", False, SWIN, D_TO_S, RECALL, 0.55),
    Target("university_mini", False, SWIN, S_TO_D, RECALL, 0.58),
    Target("university_mini", True, VIT, D_TO_S, RECALL, 0.55),
    *_flights("2014-03"),
    *_flights("2014-01"),
)


def target(source: str, backbone: str, direction: str, measure: str, window: int | None, *, aligned: bool) -> float | None:
    """The figure to be reached under these circumstances, as a fraction; none where none was set."""
    wanted = (source, aligned, backbone, direction, measure, window)
    matching = (
        candidate.value
        for candidate in TARGETS
        if (candidate.source, candidate.aligned, candidate.backbone, candidate.direction, candidate.measure, candidate.window)
        == wanted
    )
    return next(matching, None)
