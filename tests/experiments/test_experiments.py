from __future__ import annotations

import dataclasses
import itertools

import pytest

from cvgl.config import AdaptConfig
from cvgl.errors import ConfigError
from cvgl.experiments import experiments
from cvgl.experiments.experiments import EXPERIMENTS, Answering, Learner, Sampling, Situation, fig8_batch_sizes
from cvgl.retrieval import protocols

SITUATION = Situation(d0=384, n_queries=150, n_references=150)


@pytest.mark.parametrize(("name", "sampling"), list(itertools.product(EXPERIMENTS, Sampling)))
def test_every_configuration_is_valid_and_has_a_name_of_its_own(name: str, sampling: Sampling) -> None:
    experiment = EXPERIMENTS[name]
    rows = experiment.configurations(Situation(384, 150, 150, sampling))
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        AdaptConfig.model_validate(row.changes)
        assert (row.x is None) == (row.series == "")
        if row.published is not None:
            assert 0 < row.published.recall_at_1 < row.published.ap < 1
    assert experiment.protocol is None or protocols.get(experiment.protocol).gallery == "all"
    assert set(experiment.baselines) <= {row.name for row in rows}
    assert (experiment.axis is not None) == any(row.x is not None for row in rows)


def test_table_vi_has_the_papers_modules_at_one_dimension() -> None:
    rows = {row.name: row for row in EXPERIMENTS["table6"].configurations(SITUATION)}
    settings = {name: AdaptConfig.model_validate(row.changes) for name, row in rows.items()}
    assert [row.learner for row in rows.values()][:3] == [Learner.FROZEN, Learner.STANDARDISED, Learner.SUPERVISED]
    assert all(settings[name].dimension is None for name in rows if "trainer" not in name and rows[name].changes)
    assert settings["EMPL"].reconstruction_weight == 0
    assert not settings["EMPL"].residual
    assert settings["EMPL, residual style"].residual
    assert settings["EMPL, residual style"].reconstruction_weight == 0
    assert settings["EMPL + AIC"].reconstruction_weight == 1
    assert settings["EMPL + AIC"].recipe == "paper"
    published = {name: (row.published.recall_at_1, row.published.ap) for name, row in rows.items() if row.published}
    assert published == {
        "frozen": (0.3160, 0.3660),
        "supervised upper bound": (0.5961, 0.7089),
        "EMPL": (0.6393, 0.7379),
        "EMPL, residual style": (0.5544, 0.6085),
        "EMPL + AIC": (0.6945, 0.7407),
    }


def test_only_the_option_makes_the_released_trainer_know_the_buildings() -> None:
    def released(sampling: Sampling) -> Learner:
        rows = EXPERIMENTS["table6"].configurations(Situation(384, 150, 150, sampling))
        return next(row.learner for row in rows if row.changes.get("recipe") == "released")

    assert not released(Sampling.UNIFORM).needs_ground_truth
    assert released(Sampling.BUILDING_BALANCED).needs_ground_truth


def test_table_vii_has_the_papers_dimensions() -> None:
    rows = EXPERIMENTS["table7"].configurations(SITUATION)
    assert rows[0].learner is Learner.FROZEN
    assert [row.x for row in rows if row.series == "paper"] == [512, 1024, 1536, 2048, 2560, 3072]
    assert [row.changes["dimension"] for row in rows if row.x is not None] == [row.x for row in rows if row.x is not None]


def test_batch_sizes_surround_the_number_of_references_as_far_as_queries_exist() -> None:
    assert fig8_batch_sizes(37_854, 701) == [88, 175, 350, 526, 701, 1052, 1402, 2804]
    assert fig8_batch_sizes(150, 150) == [19, 38, 75, 112, 150]
    assert fig8_batch_sizes(5, 1) == [1, 2, 4]
    rows = EXPERIMENTS["fig8"].configurations(Situation(8, 20, 10))
    assert [row.changes["query_samples"] for row in rows if row.series == "paper"] == [1, 2, 5, 8, 10, 15, 20]


def test_robust_has_every_recipe_and_asks_as_the_images_allow() -> None:
    apart = EXPERIMENTS["robust"].configurations(SITUATION)
    assert [AdaptConfig.model_validate(row.changes).recipe for row in apart if row.learner is Learner.ADAPTED] == [
        "paper",
        "paper-standardised",
        "released",
        "robust",
        "robust",
    ]
    situation = dataclasses.replace(SITUATION, learns_along=True, asks_along=True)
    along = {row.name: row for row in EXPERIMENTS["robust"].configurations(situation)}
    added = [name for name in along if name not in {row.name for row in apart}]
    assert added == ["robust, without trajectories", "robust, a window of 20 images"]
    assert not along[added[0]].is_robust  # no target is set for it
    assert along["robust"].answering == Answering()
    assert along[added[1]].answering == Answering(window=20)


def test_an_unknown_experiment_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="table1, table2, table4"):
        experiments.get("table99")
