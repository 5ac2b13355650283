"""Evaluation protocols by name. Two figures are only compared when they were measured under one protocol.

The rules differ between the papers of this field more than their methods do; docs/concepts/protocols.md says who uses which.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cvgl.errors import ConfigError
from cvgl.hashing import digest_json

AUTO = "auto"
GENERIC = "open-set"


class FullSet(BaseModel):
    """What a direction of the whole data set consists of, so that a part of it is not taken for the whole.

    Attributes:
        direction: e.g. ``"drone_to_satellite"``.
        queries: how many are asked.
        gallery: how many are ranked; None where no source states it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    direction: str
    queries: int
    gallery: int | None


class Protocol(BaseModel):
    """The rules of one evaluation.

    Attributes:
        name: what reports call it.
        description: one sentence for a person.
        gallery: ``all``: every gallery image is ranked; ``with_query``: images of places that no query shows are dropped.
        average_precision: ``trapezoid``: mean over right answers of (P_old + P) / 2; ``standard``: mean precision.
        one_percent: how many answers R@1% looks at, for N gallery images (dropped ones included):
            ``round``: round(0.01 N) + 1; ``floor``: N // 100 + 1; ``below``: N // 100.
        truth: ``location``: the right answers share the query's location_id; where a query has a position and no location_id,
            its place is that of the nearest reference. ``nearest``: always the nearest reference. ``masked``: nobody outside
            the challenge knows; there are answers and no figures.
        satellite_queries: which satellite images are asked for in the direction from the satellite view, and against what.
            ``query``: those of the query subset against the other view's gallery. ``gallery``: all of the gallery, distractors
            included, against the other view's queries.
        unmatched: ``miss``: a query without a right answer in the gallery counts as a miss and as AP 0.
        ties: ``pessimistic``: among equal scores the wrong answers come first.
        full_sets: sizes of the data set that the protocol was made for; no rule, and not part of the hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    gallery: Literal["all", "with_query"] = "all"
    average_precision: Literal["trapezoid", "standard"] = "standard"
    one_percent: Literal["round", "floor", "below"] = "round"
    truth: Literal["location", "nearest", "masked"] = "location"
    satellite_queries: Literal["query", "gallery"] = "query"
    unmatched: Literal["miss"] = "miss"
    ties: Literal["pessimistic"] = "pessimistic"
    full_sets: tuple[FullSet, ...] = ()

    @property
    def hash(self) -> str:
        """Hash of the name and every rule; the description may be reworded."""
        return digest_json(self.model_dump(mode="json", exclude={"description", "full_sets"}))

    def rules(self) -> dict[str, str]:
        """Every rule by its name."""
        rules: dict[str, str] = self.model_dump(mode="json", exclude={"name", "description", "full_sets"})
        return rules

    def one_percent_depth(self, n_gallery: int) -> int:
        """How many answers R@1% looks at.

        Args:
            n_gallery: size of the gallery, dropped images included, as the reference codes count.
        """
        depths = {"round": round(0.01 * n_gallery) + 1, "floor": n_gallery // 100 + 1, "below": n_gallery // 100}
        return min(depths[self.one_percent], n_gallery)

    def size_note(self, direction: str, n_queries: int, n_gallery: int) -> str | None:
        """A sentence where the data set is not the whole one, whose published figures are then no measure; else None.

        Args:
            direction: which was asked.
            n_queries: queries counted.
            n_gallery: images ranked.
        """
        for full in self.full_sets:
            expected = (full.queries, n_gallery if full.gallery is None else full.gallery)
            if full.direction == direction and (n_queries, n_gallery) != expected:
                return (
                    f"not the whole data set: {n_queries:,} queries against {n_gallery:,}, of {expected[0]:,} against "
                    f"{expected[1]:,}; published figures of {self.name} are not comparable"
                )
        return None


_DRONE, _SATELLITE, _GROUND = "drone_to_satellite", "satellite_to_drone", "ground_to_satellite"


def _university(gallery: int) -> tuple[FullSet, ...]:
    return (
        FullSet(direction=_DRONE, queries=37_855, gallery=gallery),
        FullSet(direction=_SATELLITE, queries=701, gallery=51_355),
    )


def _drone_and_satellite(queries: tuple[int, int], gallery: tuple[int, int]) -> tuple[FullSet, ...]:
    return (
        FullSet(direction=_DRONE, queries=queries[0], gallery=gallery[0]),
        FullSet(direction=_SATELLITE, queries=queries[1], gallery=gallery[1]),
    )


def _cross_view(pairs: int) -> tuple[FullSet, ...]:
    return (FullSet(direction=_GROUND, queries=pairs, gallery=pairs),)


_PROTOCOLS = (
    Protocol(
        name="university1652-951",
        description="University-1652 with all 951 satellite images in the gallery: the paper and the benchmark's baseline.",
        average_precision="trapezoid",
        full_sets=_university(951),
    ),
    Protocol(
        name="university1652-951-standard",
        description="University-1652, 951 gallery images, average precision as the mean of precisions.",
        full_sets=_university(951),
    ),
    Protocol(
        name="university1652-701",
        description="University-1652 without the distractors: 701 gallery images, trapezoid average precision.",
        gallery="with_query",
        average_precision="trapezoid",
        full_sets=_university(701),
    ),
    Protocol(
        name="university1652-701-standard",
        description="University-1652 as in Sample4Geo and its line: 701 gallery images, average precision as mean precision.",
        gallery="with_query",
        full_sets=_university(701),
    ),
    Protocol(
        name="released",
        description="As the paper's released code counts: R@1% is CMC[N // 100]; S->D ranks the queries' drone images for "
        "all 951 satellite pictures.",
        average_precision="trapezoid",
        one_percent="floor",
        satellite_queries="gallery",
        full_sets=(
            FullSet(direction=_DRONE, queries=37_855, gallery=951),
            FullSet(direction=_SATELLITE, queries=951, gallery=37_855),
        ),
    ),
    Protocol(
        name="university160k-local",
        description="University-160k where labels are known, as in the paper's released code: University-1652's drone queries "
        "against its 951 test satellite images and the distractors.",
        average_precision="trapezoid",
        one_percent="floor",
        satellite_queries="gallery",
        full_sets=(FullSet(direction=_DRONE, queries=37_855, gallery=None),),
    ),
    Protocol(
        name="university160k-official",
        description="University-160k's challenge: names are masked, a file with ten answers a query is handed in; no figures.",
        average_precision="trapezoid",
        truth="masked",
    ),
    Protocol(
        name="cvusa",
        description="CVUSA as in Sample4Geo: R@1% counts ranks below N // 100.",
        one_percent="below",
        full_sets=_cross_view(8_884),
    ),
    Protocol(
        name="cvact-val",
        description="CVACT's validation pairs as in Sample4Geo: R@1% counts ranks below N // 100.",
        one_percent="below",
        full_sets=_cross_view(8_884),
    ),
    Protocol(
        name="cvact-test",
        description="CVACT's test pairs as in Sample4Geo: R@1% counts ranks below N // 100.",
        one_percent="below",
        full_sets=_cross_view(92_802),
    ),
    Protocol(
        name="sues200",
        description="SUES-200 as its benchmark counts, for drone images of one height: all 200 places are searched, those to "
        "train on included; trapezoid average precision.",
        average_precision="trapezoid",
        full_sets=_drone_and_satellite((4_000, 80), (200, 10_000)),
    ),
    Protocol(
        name="denseuav",
        description="DenseUAV as its repository counts: all 3,033 places are searched, those to train on included; trapezoid "
        "average precision.",
        average_precision="trapezoid",
        full_sets=_drone_and_satellite((2_331, 4_662), (18_198, 9_099)),
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
_ALIASES = {"standard": GENERIC, "sample4geo": "university1652-701-standard"}


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


def resolve(wanted: Iterable[str], default: str | None) -> list[Protocol]:
    """Protocols of the names wanted, each once, in that order.

    Args:
        wanted: names; ``auto`` stands for the default of the data set.
        default: name of the data set's protocol (`cvgl.datasets.registry.default_protocol`); None for `GENERIC`.

    Raises:
        ConfigError: an unknown name.
    """
    protocols = [get((default or GENERIC) if name == AUTO else name) for name in wanted]
    return list({protocol.name: protocol for protocol in protocols}.values())
