"""The registry of experiments. To add one, add an entry to `EXPERIMENTS`: nothing else has to know.

An experiment is a list of configurations, in the order in which they are shown. A configuration says how descriptors are
mapped, by the name of a learner and changes to the default settings of adaptation, and what the paper printed for it. Which
experiments with which frozen models make a page of the paper is told in `cvgl.experiments.contents`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cvgl.errors import ConfigError
from cvgl.experiments import paper_rows
from cvgl.experiments.configuration import Answering, Configuration, Learner, Published, Sampling, Situation
from cvgl.experiments.paper_rows import ROBUST, STANDARDISED_ONLY, WINDOW, fig8_batch_sizes
from cvgl.experiments.published import FIGURES, TABLE1, TABLE2, TABLE4, TABLE5, TABLE8

__all__ = [
    "EXPERIMENTS",
    "WINDOW",
    "Answering",
    "Configuration",
    "Experiment",
    "Learner",
    "Published",
    "Sampling",
    "Situation",
    "fig8_batch_sizes",
    "get",
]

PAPER_MODEL = "DINOv2 ViT-g (d0 = 1536) on all of University-1652"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table or figure of the paper, or an experiment of this project's own.

    Attributes:
        name: for the command line.
        source: where in the paper.
        title: what it is about.
        finding: what the paper concludes from it.
        configurations: for a situation, in the order shown.
        protocol: `cvgl.retrieval.protocols` name; none: what each data set is usually judged by.
        published_with: the frozen model and data of the published figures.
        axis: what x is; an experiment with an axis is drawn as a curve.
        seeds: of the trainings, unless others are asked for.
        baselines: names of configurations to which the others are compared, query by query.
        across_sources: the data root may hold several data sets, each measured on its own.
        aligns: each data set is measured twice, with whole images and with an alignment chosen without labels.
        single_view: drone images are also asked for against one drone image of each place (Table VIII, Fig. 2).
        splits: adapted and tested on two parts of the test set (Table III).
        exhibit: name of what is drawn of the mapped descriptors (`cvgl.experiments.exhibits`); empty: nothing.
    """

    name: str
    source: str
    title: str
    finding: str
    configurations: Callable[[Situation], tuple[Configuration, ...]]
    protocol: str | None = "university1652-951"
    published_with: str = PAPER_MODEL
    axis: str | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    baselines: tuple[str, ...] = ()
    across_sources: bool = False
    aligns: bool = False
    single_view: bool = False
    splits: bool = False
    exhibit: str = ""


def get(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(
            f"there is no experiment '{name}'", where="EXPERIMENT", fix=f"choose one of: {', '.join(EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]


def _figure(
    name: str, configurations: Callable[[Situation], tuple[Configuration, ...]], exhibit: str, *, single_view: bool = False
) -> Experiment:
    statement = FIGURES[name]
    return Experiment(
        name,
        statement.source,
        statement.shows,
        statement.says,
        configurations,
        exhibit=exhibit,
        seeds=(0,),
        single_view=single_view,
    )


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="table1",
            source=TABLE1.source,
            title="methods with and without labels on University-1652",
            finding="adapting without labels adds 39 points of R@1 to the frozen model, and passes some supervised methods",
            configurations=paper_rows.main_rows,
        ),
        Experiment(
            name="table2",
            source=TABLE2.source,
            title="methods without labels among 160,000 distractors",
            finding="adapting doubles R@1 of the frozen model among the distractors",
            configurations=paper_rows.main_rows,
            protocol="university160k-local",
            published_with="DINOv2 ViT-g (d0 = 1536) on University-160k",
        ),
        Experiment(
            name="table4",
            source=TABLE4.source,
            title="models trained for the task, adapted to places they have not seen",
            finding="adapting adds about 2 points to models trained for the task",
            configurations=paper_rows.main_rows,
            published_with="FSRA and Sample4Geo on a split of University-1652's test set",
            splits=True,
        ),
        Experiment(
            name="table5",
            source=TABLE5.source,
            title="models trained for the task in one city, adapted to another",
            finding="adapting adds 0.5 to 4 points in a new city",
            configurations=paper_rows.cross_city_rows,
            protocol=None,
            published_with="GeoDTR and Sample4Geo on all of CVUSA and CVACT",
        ),
        Experiment(
            name="table6",
            source="Li et al. 2024, Table VI",
            title="the modules, one by one",
            finding="EMPL beats supervision, AIC adds to it, a residual connection takes away from it",
            configurations=paper_rows.table6,
        ),
        Experiment(
            name="table7",
            source="Li et al. 2024, Table VII",
            title="the dimension d of the adapted space",
            finding="accuracy grows with d up to about 2048",
            configurations=paper_rows.table7,
            axis="d, dimension of the adapted space",
        ),
        Experiment(
            name="table8",
            source=TABLE8.source,
            title="one view, two views, and two views adapted",
            finding="the frozen model does well within one view; adapting brings it back near that across views",
            configurations=paper_rows.main_rows,
            published_with="CLIP and DINOv2 ViT-g on all of University-1652",
            single_view=True,
        ),
        _figure("fig2", paper_rows.frozen_only, "recall", single_view=True),
        Experiment(
            name="fig8",
            source="Li et al. 2024, Fig. 8",
            title="the query batch size M",
            finding="stable among sizes, with the peak where there are as many queries as references",
            configurations=paper_rows.fig8,
            axis="M, queries drawn each iteration",
        ),
        _figure("fig9", paper_rows.main_rows, "drone_to_satellite gallery"),
        _figure("fig10", paper_rows.main_rows, "satellite_to_drone gallery"),
        _figure("fig11", paper_rows.main_rows, "similarities"),
        _figure("fig12", paper_rows.main_rows, "tsne"),
        _figure("fig13", paper_rows.fig13, "differences"),
        Experiment(
            name="robust",
            source="this project, Figures to reach",
            title="every recipe, with and without an alignment of the views",
            finding="nothing: these sets and targets are this project's own",
            configurations=paper_rows.robust_rows,
            protocol=None,
            published_with="",
            seeds=(0, 1, 2, 3, 4),
            baselines=(STANDARDISED_ONLY, ROBUST),
            across_sources=True,
            aligns=True,
        ),
    )
}
