"""What each page holds: which experiments with which frozen models make up a table or figure of the paper.

A page has parts: one experiment on one kind of data with one frozen model of the paper. Entries join the table's printed
rows with a part's configurations. A row that nothing here can measure says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cvgl.experiments import published
from cvgl.experiments.configuration import Kind
from cvgl.experiments.paper_rows import DIMENSIONS, EMPL, EMPL_AIC, FROZEN, OURS, RESIDUAL
from cvgl.experiments.published import PublishedTable


class Need(StrEnum):
    """Which data a part is measured on."""

    UNIVERSITY = "University-1652"
    VIEWS = "University-1652 with several drone images of a place"
    UNIVERSITY160K = "University-160k"
    CVUSA = "CVUSA"
    CVACT = "CVACT"

    @property
    def kind(self) -> Kind:
        """Its layout."""
        return _KINDS[self]


_KINDS = {
    Need.UNIVERSITY: Kind.UNIVERSITY,
    Need.VIEWS: Kind.UNIVERSITY,
    Need.UNIVERSITY160K: Kind.UNIVERSITY160K,
    Need.CVUSA: Kind.CVUSA,
    Need.CVACT: Kind.CVACT,
}


@dataclass(frozen=True, slots=True)
class Part:
    """One experiment with one frozen model.

    Attributes:
        key: within the page.
        experiment: name in `cvgl.experiments.experiments`.
        need: the data.
        model: key in `cvgl.experiments.paper_models`.
        frozen_only: the paper adapts nothing here.
        stand_ins: models at hand take its place where its weights are not there; otherwise another part has them.
        vlad: those pool as AnyLoc does.
    """

    key: str
    experiment: str
    need: Need
    model: str
    frozen_only: bool = False
    stand_ins: bool = True
    vlad: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One printed row, and what measures it.

    Attributes:
        row: key in the printed table.
        part: which; empty: nothing does.
        configuration: of the part's experiment.
        why: nothing measures it, because.
    """

    row: str
    part: str = ""
    configuration: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """One page.

    Attributes:
        name: for the command line.
        parts: what is measured.
        table: what is printed; none for figures.
        entries: its rows.
        remarks: how this page reads the paper where that leaves something open.
    """

    name: str
    parts: tuple[Part, ...]
    table: PublishedTable | None = None
    entries: tuple[Entry, ...] = ()
    remarks: tuple[str, ...] = ()


SUPERVISED_WHY: Final = "published only: trained with labels, and no released weights that this project reads"
NO_LABELS: Final = frozenset({"university1652", "rk-net", "lcm", "dwdr", "lpn"})


def _table1() -> Contents:
    university = Need.UNIVERSITY
    parts = (
        Part("resnet50", "table1", university, "resnet50", frozen_only=True, stand_ins=False),
        Part("dinov2", "table1", university, "dinov2"),
        Part("anyloc", "table1", university, "anyloc", frozen_only=True, vlad=True),
        Part("fsra", "table1", university, "fsra", frozen_only=True, stand_ins=False),
        Part("sample4geo", "table1", university, "sample4geo", frozen_only=True, stand_ins=False),
    )
    entries = []
    for key in published.TABLE1.rows:
        if key in NO_LABELS:
            entries.append(Entry(key, why=SUPERVISED_WHY))
        else:
            entries.append(Entry(key, "dinov2", OURS) if key == "ours" else Entry(key, key, FROZEN))
    return Contents("table1", parts, published.TABLE1, tuple(entries))


def _table2() -> Contents:
    parts = (
        Part("dinov2", "table2", Need.UNIVERSITY160K, "dinov2"),
        Part("anyloc", "table2", Need.UNIVERSITY160K, "anyloc", frozen_only=True, vlad=True),
    )
    entries = (Entry("dinov2", "dinov2", FROZEN), Entry("anyloc", "anyloc", FROZEN), Entry("ours", "dinov2", OURS))
    return Contents("table2", parts, published.TABLE2, entries)


def _before_and_after(name: str, table: PublishedTable, parts: tuple[Part, ...], *remarks: str) -> Contents:
    """Tables IV and V: each model as it is, and adapted."""
    entries = tuple(
        Entry(key, key.removesuffix("-adapted"), OURS if key.endswith("-adapted") else FROZEN) for key in table.rows
    )
    return Contents(name, parts, table, entries, remarks)


def _table4() -> Contents:
    parts = (
        Part("fsra", "table4", Need.UNIVERSITY, "fsra"),
        Part("sample4geo", "table4", Need.UNIVERSITY, "sample4geo", stand_ins=False),
    )
    return _before_and_after(
        "table4",
        published.TABLE4,
        parts,
        "The test set's places with drone images are divided at random (`--seeds`, the first): of 701, 250 to adapt on, and "
        "the others to test on with all remaining satellite images in the gallery. On a smaller set the share is the same.",
    )


def _table5() -> Contents:
    parts = (
        Part("cvact-geodtr", "table5", Need.CVACT, "geodtr-cvusa", stand_ins=False),
        Part("cvact-sample4geo", "table5", Need.CVACT, "sample4geo-cvusa"),
        Part("cvusa-geodtr", "table5", Need.CVUSA, "geodtr-cvact", stand_ins=False),
        Part("cvusa-sample4geo", "table5", Need.CVUSA, "sample4geo-cvact"),
    )
    return _before_and_after(
        "table5",
        published.TABLE5,
        parts,
        "T = 10. The paper draws 1,500 images of either view: queries are drawn in every iteration, references once by "
        "the seed.",
    )


def _table6() -> Contents:
    parts = (Part("dinov2", "table6", Need.UNIVERSITY, "dinov2"),)
    rows = {
        "baseline": FROZEN,
        "supervised": "supervised upper bound",
        "empl": EMPL,
        "empl-residual": RESIDUAL,
        "empl-aic": EMPL_AIC,
    }
    entries = tuple(Entry(key, "dinov2", configuration) for key, configuration in rows.items())
    return Contents("table6", parts, published.TABLE6, entries)


def _table7() -> Contents:
    parts = (Part("dinov2", "table7", Need.UNIVERSITY, "dinov2"),)
    entries = (Entry("base", "dinov2", "base"), *(Entry(str(d), "dinov2", f"paper, d = {d}") for d in DIMENSIONS))
    return Contents("table7", parts, published.TABLE7, entries)


def _table8() -> Contents:
    parts = (
        Part("clip-single", "table8", Need.VIEWS, "clip", frozen_only=True, stand_ins=False),
        Part("dinov2-single", "table8", Need.VIEWS, "dinov2", frozen_only=True),
        Part("clip", "table8", Need.UNIVERSITY, "clip", stand_ins=False),
        Part("dinov2", "table8", Need.UNIVERSITY, "dinov2"),
    )
    entries = tuple(
        Entry(key, key.removesuffix("-ours"), OURS if key.endswith("-ours") else FROZEN) for key in published.TABLE8.rows
    )
    remark = "Drone to drone, the image of a place whose hash comes first is its gallery image; the others ask for it."
    return Contents("table8", parts, published.TABLE8, entries, (remark, "The paper does not say which CLIP it used."))


def _figure(name: str, need: Need = Need.UNIVERSITY) -> Contents:
    return Contents(name, (Part("dinov2", name, need, "dinov2"),))


CONTENTS: Final[Mapping[str, Contents]] = {
    contents.name: contents
    for contents in (
        _table1(),
        _table2(),
        Contents("table3", ()),
        _table4(),
        _table5(),
        _table6(),
        _table7(),
        _table8(),
        _figure("fig2", Need.VIEWS),
        _figure("fig8"),
        _figure("fig9"),
        _figure("fig10"),
        _figure("fig11"),
        _figure("fig12"),
        _figure("fig13"),
    )
}
"""In the order of the paper; `all` is all of them."""
