"""Every number of the paper's tables, and what its figures state (Li, Xu, Yang, Yu and Xia 2024), typed in by hand.

Rates are percentages here, as printed, so that a reader can compare this file with the paper; `Value.fraction` is what the
rest of the project works with. Nothing in this module is a target: the models and data of a reproduction may be others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

D_TO_S, S_TO_D, D_TO_D, G_TO_S = "drone_to_satellite", "satellite_to_drone", "drone_to_drone", "ground_to_satellite"

GENERALIZATION, SUPERVISED, SELF_SUPERVISED = "Generalization", "Supervised", "Self-supervised"


@dataclass(frozen=True, slots=True)
class Value:
    """One printed rate.

    Attributes:
        direction: e.g. ``drone_to_satellite``.
        metric: R@1, R@5, R@10, R@1% or AP.
        percent: as printed.
    """

    direction: str
    metric: str
    percent: float

    @property
    def fraction(self) -> float:
        """The value as a fraction."""
        return round(self.percent / 100, 6)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of a table (of Tables VI and VII: one column).

    Attributes:
        method: as printed, without the number of the reference.
        values: its rates.
        section: heading inside the table, or the task; empty where there is none.
        learning: the paper's learning type; empty where the table has none.
        adapted: the tick of Tables IV and V; none where the table has no such column.
        parameters_m: training parameters in millions; none where the table has a dash or no such column.
    """

    method: str
    values: tuple[Value, ...]
    section: str = ""
    learning: str = ""
    adapted: bool | None = None
    parameters_m: float | None = None

    def fraction(self, direction: str, metric: str) -> float | None:
        """The printed rate as a fraction; none where none is printed."""
        return next((value.fraction for value in self.values if (value.direction, value.metric) == (direction, metric)), None)


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One row of Table III: which sets a task uses, and how many ids each has."""

    task: str
    pretrain: tuple[str, int]
    adaptation: tuple[str, int]
    test: tuple[str, int]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One table of the paper.

    Attributes:
        source: where.
        caption: what it is about.
        rows: by a key of ours, in the order printed.
        remarks: where the paper contradicts itself.
    """

    source: str
    caption: str
    rows: Mapping[str, PublishedRow] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def _both(d_to_s_r1: float, d_to_s_ap: float, s_to_d_r1: float, s_to_d_ap: float) -> tuple[Value, ...]:
    return (
        Value(D_TO_S, "R@1", d_to_s_r1),
        Value(D_TO_S, "AP", d_to_s_ap),
        Value(S_TO_D, "R@1", s_to_d_r1),
        Value(S_TO_D, "AP", s_to_d_ap),
    )


def _depths(direction: str, metrics: tuple[str, ...], *percents: float) -> tuple[Value, ...]:
    return tuple(Value(direction, metric, percent) for metric, percent in zip(metrics, percents, strict=True))


def _supervised(method: str, parameters_m: float, *percents: float) -> PublishedRow:
    return PublishedRow(method, _both(*percents), learning=SUPERVISED, parameters_m=parameters_m)


TABLE1: Final = PublishedTable(
    "Li et al. 2024, Table I",
    "recent methods and the proposed one on University-1652",
    {
        "resnet50": PublishedRow("ResNet-50", _both(5.95, 8.13, 21.53, 11.24), learning=GENERALIZATION),
        "dinov2": PublishedRow("DINOv2", _both(31.25, 40.67, 66.48, 37.91), learning=GENERALIZATION),
        "anyloc": PublishedRow("AnyLoc", _both(34.36, 42.32, 68.23, 41.24), learning=GENERALIZATION),
        "university1652": _supervised("University-1652", 26, 58.23, 62.91, 74.47, 59.45),
        "rk-net": _supervised("RK-Net", 26, 66.13, 70.23, 80.17, 65.76),
        "lcm": _supervised("LCM", 26, 66.65, 70.82, 79.89, 65.38),
        "dwdr": _supervised("DWDR", 26, 69.77, 73.73, 81.46, 70.45),
        "lpn": _supervised("LPN", 26, 75.93, 79.14, 86.45, 74.79),
        "fsra": _supervised("FSRA", 30, 82.25, 84.82, 87.87, 81.53),
        "sample4geo": _supervised("Sample4Geo", 36, 92.65, 93.81, 95.14, 91.39),
        "ours": PublishedRow("Ours", _both(70.29, 74.93, 79.03, 61.03), learning=SELF_SUPERVISED, parameters_m=2.25),
    },
    (
        "2.25 M trained parameters are 1536 x 1536 in units of 2^20, an adapter of d = 1536; the rates of the row are those "
        "that Table VII has for d = 2048.",
    ),
)

_TABLE2 = ("R@1", "R@5", "R@10", "AP")
TABLE2: Final = PublishedTable(
    "Li et al. 2024, Table II",
    "methods without labels on University-160k",
    {
        "dinov2": PublishedRow(
            "DINOv2 (Baseline)", _depths(D_TO_S, _TABLE2, 19.34, 40.89, 48.29, 24.58), learning=GENERALIZATION
        ),
        "anyloc": PublishedRow("AnyLoc", _depths(D_TO_S, _TABLE2, 24.12, 46.25, 57.31, 31.53), learning=GENERALIZATION),
        "ours": PublishedRow("DINOv2 + Ours", _depths(D_TO_S, _TABLE2, 39.47, 81.01, 87.90, 48.96), learning=SELF_SUPERVISED),
    },
)

TABLE3: Final = (
    SplitRow("University Test Adaptation", ("Training Set", 701), ("Adaption Set", 250), ("Test Set", 751)),
    SplitRow("CVUSA → CVACT", ("CVUSA Training", 35_531), ("CVACT Training", 35_531), ("CVACT Val", 8_884)),
    SplitRow("CVACT → CVUSA", ("CVACT Training", 35_531), ("CVUSA Training", 35_531), ("CVUSA Test", 8_884)),
)
TABLE3_SOURCE: Final = "Li et al. 2024, Table III"
TABLE3_REMARKS: Final = (
    "250 + 751 places are more than the release's test set has: 701 with drone images, 951 with a satellite picture.",
    "CVUSA's and CVACT's lists name 35,532 training pairs each; the paper prints 35,531.",
)

_SPLIT, _TABLE4 = "University-1652 Split Test", ("R@1", "R@5", "AP")


def _table4(method: str, adapted: bool, *percents: float) -> PublishedRow:
    return PublishedRow(method, _depths(D_TO_S, _TABLE4, *percents), section=_SPLIT, adapted=adapted)


TABLE4: Final = PublishedTable(
    "Li et al. 2024, Table IV",
    "adapting models trained for the task, drone to satellite",
    {
        "fsra": _table4("FSRA", False, 81.55, 93.50, 84.25),
        "fsra-adapted": _table4("FSRA", True, 83.83, 94.29, 86.19),
        "sample4geo": _table4("Sample4Geo", False, 94.07, 95.28, 95.78),
        "sample4geo-adapted": _table4("Sample4Geo", True, 95.84, 98.61, 96.49),
    },
)

TO_CVACT, TO_CVUSA = "CVUSA → CVACT", "CVACT → CVUSA"
_TABLE5 = ("R@1", "R@5", "R@1%")


def _table5(section: str, method: str, adapted: bool, *percents: float) -> PublishedRow:
    return PublishedRow(method, _depths(G_TO_S, _TABLE5, *percents), section=section, adapted=adapted)


TABLE5: Final = PublishedTable(
    "Li et al. 2024, Table V",
    "adapting models trained for the task on another data set, ground to satellite",
    {
        "cvact-geodtr": _table5(TO_CVACT, "GeoDTR", False, 54.04, 75.62, 93.80),
        "cvact-geodtr-adapted": _table5(TO_CVACT, "GeoDTR", True, 57.32, 78.94, 95.10),
        "cvact-sample4geo": _table5(TO_CVACT, "Sample4Geo", False, 56.62, 77.79, 94.69),
        "cvact-sample4geo-adapted": _table5(TO_CVACT, "Sample4Geo", True, 60.94, 80.48, 95.51),
        "cvusa-geodtr": _table5(TO_CVUSA, "GeoDTR", False, 44.07, 64.66, 90.09),
        "cvusa-geodtr-adapted": _table5(TO_CVUSA, "GeoDTR", True, 44.97, 65.01, 91.27),
        "cvusa-sample4geo": _table5(TO_CVUSA, "Sample4Geo", False, 44.95, 64.36, 90.65),
        "cvusa-sample4geo-adapted": _table5(TO_CVUSA, "Sample4Geo", True, 45.49, 66.19, 92.12),
    },
)

_R1_AP = ("R@1", "AP")


def _ablation(method: str, r1: float, ap: float) -> PublishedRow:
    return PublishedRow(method, _depths(D_TO_S, _R1_AP, r1, ap))


TABLE6: Final = PublishedTable(
    "Li et al. 2024, Table VI",
    "ablation of the proposed modules on University-1652",
    {
        "baseline": _ablation("Baseline", 31.60, 36.60),
        "supervised": _ablation("Supervised", 59.61, 70.89),
        "empl": _ablation("EMPL", 63.93, 73.79),
        "empl-residual": _ablation("EMPL, Residual-style", 55.44, 60.85),
        "empl-aic": _ablation("EMPL, AIC", 69.45, 74.07),
    },
    ("The baseline's 31.60 / 36.60 is not Table I's 31.25 / 40.67 for the same model, data and measure.",),
)

TABLE7: Final = PublishedTable(
    "Li et al. 2024, Table VII",
    "the embedding length of the adapter",
    {
        "base": _ablation("1536 (base)", 31.25, 40.67),
        "512": _ablation("512", 65.62, 70.56),
        "1024": _ablation("1024", 67.38, 72.25),
        "1536": _ablation("1536", 69.45, 74.07),
        "2048": _ablation("2048", 70.29, 74.93),
        "2560": _ablation("2560", 70.24, 74.83),
        "3072": _ablation("3072", 70.73, 75.24),
    },
)

SINGLE_VIEW, CROSS_VIEW = "Drone-to-drone", "Drone-to-satellite"


def _table8(section: str, method: str, *percents: float) -> PublishedRow:
    direction = D_TO_D if section == SINGLE_VIEW else D_TO_S
    return PublishedRow(method, _depths(direction, _TABLE2, *percents), section=section)


TABLE8: Final = PublishedTable(
    "Li et al. 2024, Table VIII",
    "generalisation within one view, across views, and across views with the proposed method",
    {
        "clip-single": _table8(SINGLE_VIEW, "CLIP", 40.12, 66.04, 75.55, 46.12),
        "dinov2-single": _table8(SINGLE_VIEW, "Dinov2", 71.99, 93.30, 96.34, 81.36),
        "clip": _table8(CROSS_VIEW, "CLIP", 12.30, 25.78, 33.91, 16.06),
        "dinov2": _table8(CROSS_VIEW, "Dinov2", 31.24, 50.48, 58.61, 40.67),
        "clip-ours": _table8(CROSS_VIEW, "CLIP+Ours", 13.58, 28.46, 37.19, 17.60),
        "dinov2-ours": _table8(CROSS_VIEW, "Dinov2+Ours", 70.73, 91.83, 95.69, 75.24),
    },
    (
        "Dinov2+Ours is printed as 70.73 / 75.24, which Table VII has for d = 3072; the text beside it says 70.29 / 74.93 "
        "(d = 2048).",
        "The discussion calls 31.24 / 40.67 CLIP's; in the table they are DINOv2's.",
    ),
)

TABLES: Final[Mapping[str, PublishedTable]] = {
    "table1": TABLE1,
    "table2": TABLE2,
    "table4": TABLE4,
    "table5": TABLE5,
    "table6": TABLE6,
    "table7": TABLE7,
    "table8": TABLE8,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What the paper says of a figure that has no numbers printed in it.

    Attributes:
        source: where.
        shows: what is drawn.
        says: what the text concludes, in our words.
    """

    source: str
    shows: str
    says: str


FIGURES: Final[Mapping[str, Statement]] = {
    "fig2": Statement(
        "Li et al. 2024, Fig. 2",
        "recall of the frozen model within one view (drone to drone) and across views (drone to satellite)",
        "satisfactory within one view (71.99 % R@1, Table VIII), a large drop across views (31.24 %)",
    ),
    "fig8": Statement(
        "Li et al. 2024, Fig. 8",
        "R@1 and AP over the number of queries drawn in an iteration, with all 701 references",
        "stable among sizes, with the peak where there are as many queries as references",
    ),
    "fig9": Statement(
        "Li et al. 2024, Fig. 9",
        "drone queries with the best satellite answers, frozen and adapted",
        "the frozen model answers by texture, the adapted one by context",
    ),
    "fig10": Statement(
        "Li et al. 2024, Fig. 10",
        "satellite queries with the best drone answers, frozen and adapted",
        "the frozen model answers by colour and style, the adapted one finds the place under another style",
    ),
    "fig11": Statement(
        "Li et al. 2024, Fig. 11",
        "top-1 similarities of matched and unmatched pairs, frozen and adapted",
        "frozen ones lie between 0.98 and 1.0 and cannot be told apart; adapted ones spread, matched above unmatched",
    ),
    "fig12": Statement(
        "Li et al. 2024, Fig. 12",
        "t-SNE of 100 test places, each with its satellite image and 54 drone images, frozen and adapted",
        "frozen, satellite images form a cluster of their own; adapted, they lie with the drone images of their place",
    ),
    "fig13": Statement(
        "Li et al. 2024, Fig. 13",
        "similarity to the right answer minus that to the hardest wrong one: frozen, residual style, without and with AIC",
        "small differences when frozen or in residual style; AIC moves the histogram to the right",
    ),
}
