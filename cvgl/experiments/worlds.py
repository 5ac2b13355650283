"""The built-in world in the layouts of the paper's data sets, for the experiments whose data is not at hand.

A world is drawn from a seed into the lake, so it needs no network and no licence, and equal settings give equal images. It
shows that an experiment runs from the images to its page; its figures say nothing about the real data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cvgl.config import Layout
from cvgl.errors import ConfigError
from cvgl.experiments.configuration import Kind
from cvgl.experiments.sources import SourceConfig
from cvgl.lake import Lake
from cvgl.types import Progress, silent

if TYPE_CHECKING:
    from cvgl.synthetic import WorldConfig

_SIDE = 96  # pixels; the models at hand resize anyway


@dataclass(frozen=True, slots=True)
class Size:
    """How large a world is drawn.

    Attributes:
        places: with images of both views.
        train_share: share of them that is adapted on.
        distractors: satellite images of other places.
        views: drone images a place.
        panoramas: street-level images a place.
    """

    places: int
    train_share: float
    distractors: int
    views: int
    panoramas: int = 0

    def world(self) -> WorldConfig:
        """Settings of the built-in world."""
        from cvgl.synthetic import WorldConfig

        return WorldConfig(
            places=self.places,
            train_share=self.train_share,
            distractors=self.distractors,
            views=self.views,
            panoramas=self.panoramas,
            image_size=_SIDE,
        )


SIZES: Final[Mapping[Kind, Size]] = {
    Kind.UNIVERSITY: Size(48, 0.5, 10, 3),
    Kind.UNIVERSITY160K: Size(48, 0.5, 64, 1),
    Kind.CVUSA: Size(48, 0.5, 0, 1, 1),
    Kind.CVACT: Size(48, 0.5, 0, 1, 1),
}


def world_source(kind: Kind, lake: Lake) -> SourceConfig:
    """The built-in world in a layout, as a source that is drawn when it is needed.

    Raises:
        ConfigError: it is not drawn in that layout.
    """
    if kind not in SIZES:
        raise ConfigError(
            f"the built-in world is not drawn in the layout {kind}", where="worlds", fix=f"use {', '.join(SIZES)}"
        )
    # Another world is another data set: two must not be mixed under one name.
    dataset = f"world-{kind}-{_world(kind).digest()[:8]}"
    folder = lake.root / "reproductions" / "worlds" / dataset
    return SourceConfig(name=f"world-{kind}", dataset=dataset, folder=str(folder), kind=kind, drawn=True)


def draw_world(source: SourceConfig, progress: Progress = silent) -> None:
    """Draws the images of a built-in world that are not there yet; one that was killed goes on.

    Raises:
        ConfigError: it is not drawn in the source's layout.
        DataError: the folder holds something else.
    """
    from cvgl.synthetic.layouts import write_layout

    write_layout(Layout(source.kind), _world(source.kind), Path(source.folder), progress)


def _world(kind: Kind) -> WorldConfig:
    from cvgl.synthetic.layouts import for_layout

    return for_layout(Layout(kind), SIZES[kind].world())
