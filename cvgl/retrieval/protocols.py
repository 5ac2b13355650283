"""Evaluation protocols by name. Two figures are only compared when they were measured under one protocol.

The rules differ between the papers of this field more than their methods do; docs/protocols.md says who uses which.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cvgl.errors import ConfigError
from cvgl.hashing import digest_json

AUTO = "auto"
GENERIC = "open-set"


class Protocol(BaseModel):
    """The rules of one evaluation.

    Attributes:
        name: what reports call it.
        description: one sentence for a person.
        gallery: ``all``: every gallery picture is ranked; ``with_query``: pictures of places that no query shows are dropped.
        average_precision: ``trapezoid``: mean over right answers of (P_old + P) / 2; ``standard``: mean precision.
        one_percent: how many answers R@1% looks at, for N gallery pictures (dropped ones included):
            ``round``: round(0.01 N) + 1; ``floor``: N // 100 + 1; ``below``: N // 100.
        truth: ``location``: the right answers share the query's location_id; where a query has a position and no location_id,
            its place is that of the nearest reference. ``nearest``: always the nearest reference.
        unmatched: ``miss``: a query without a right answer in the gallery counts as a miss and as AP 0.
        ties: ``pessimistic``: among equal scores the wrong answers come first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    gallery: Literal["all", "with_query"] = "all"
    average_precision: Literal["trapezoid", "standard"] = "standard"
    one_percent: Literal["round", "floor", "below"] = "round"
    truth: Literal["location", "nearest"] = "location"
    unmatched: Literal["miss"] = "miss"
    ties: Literal["pessimistic"] = "pessimistic"

    @property
    def hash(self) -> str:
        """Hash of the name and every rule; the description may be reworded."""
        return digest_json(self.model_dump(mode="json", exclude={"description"}))

    def one_percent_depth(self, n_gallery: int) -> int:
        """How many answers R@1% looks at.

        Args:
            n_gallery: size of the gallery, dropped pictures included, as the reference codes count.
        """
        depths = {"round": round(0.01 * n_gallery) + 1, "floor": n_gallery // 100 + 1, "below": n_gallery // 100}
        return min(depths[self.one_percent], n_gallery)


_PROTOCOLS = (
    Protocol(
        name="university1652-951",
        description="University-1652 with all 951 satellite pictures in the gallery: the paper and the benchmark's baseline.",
        average_precision="trapezoid",
    ),
    Protocol(
        name="university1652-951-standard",
        description="University-1652, 951 gallery pictures, average precision as the mean of precisions.",
    ),
    Protocol(
        name="university1652-701",
        description="University-1652 without the distractors, as in the line of Sample4Geo: 701 gallery pictures.",
        gallery="with_query",
        average_precision="trapezoid",
    ),
    Protocol(
        name="university1652-701-standard",
        description="University-1652 without the distractors, average precision as the mean of precisions.",
        gallery="with_query",
    ),
    Protocol(
        name="released",
        description="As the paper's released code counts: R@1% is CMC[N // 100].",
        average_precision="trapezoid",
        one_percent="floor",
    ),
    Protocol(
        name="cvusa",
        description="CVUSA and CVACT as in Sample4Geo: R@1% counts ranks below N // 100.",
        one_percent="below",
    ),
    Protocol(
        name=GENERIC,
        description="Any data set: every reference is ranked, seen by a query or not; standard average precision.",
    ),
    Protocol(
        name="flights",
        description="Frames of a flight against map tiles: the right answer is the nearest tile; metres beside recall.",
        truth="nearest",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _PROTOCOLS}
_ALIASES = {"standard": GENERIC}


def names() -> list[str]:
    """Every name that `get` knows, in a fixed order."""
    return [*PROTOCOLS, *_ALIASES]


def get(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        ConfigError: there is none; ``auto`` needs a data set to be resolved against, see `resolve`.
    """
    protocol = PROTOCOLS.get(_ALIASES.get(name, name))
    if protocol is None:
        raise ConfigError(f"there is no protocol '{name}'", where="protocol", fix=f"choose one of: {', '.join(names())}")
    return protocol


def resolve(wanted: Iterable[str], layout: str | None) -> list[Protocol]:
    """Protocols of the names wanted, each once, in that order.

    Args:
        wanted: names; ``auto`` stands for what a layout is judged by.
        layout: how the data set's source is laid out (`cvgl.config.Layout`), None when unknown.

    Raises:
        ConfigError: an unknown name.
    """
    automatic = "university1652-951" if layout == "university1652" else GENERIC
    found = [get(automatic if name == AUTO else name) for name in wanted]
    return list({protocol.name: protocol for protocol in found}.values())
