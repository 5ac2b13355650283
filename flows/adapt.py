"""The flow that learns an adapter."""

from __future__ import annotations

from cvgl.config import AdaptConfig, SelectConfig
from cvgl.lake import Lake
from cvgl.stages.adapt import AdaptOutcome
from flows.stage import ADAPT, DEFAULT_LAKE, SELECT, stage_flow
from tasks.adapt import adapt as learn_adapter
from tasks.find import find_features


@stage_flow("adapt", run_name="adapt {dataset}, {config.recipe} recipe, seed {config.seed}")
def adapt(
    dataset: str,
    features: str | None = None,
    config: AdaptConfig = ADAPT,
    lake: str = DEFAULT_LAKE,
    rules: SelectConfig = SELECT,
) -> AdaptOutcome:
    """Learns an adapter from a dataset's unlabelled descriptors; `features` is the fingerprint of their frozen model.

    Args:
        dataset: name of the dataset in the lake.
        features: fingerprint of the frozen model whose descriptors are learned from; default: the only one there is.
        config: how the adapter is learned.
        lake: folder that holds everything.
        rules: of the choice that the recipe `auto` makes.
    """
    root = Lake.at(lake)
    return learn_adapter(find_features(root, dataset, features), config, root, rules)
