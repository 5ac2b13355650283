"""Stage `adapt`: frozen features of the training images in, an adapter out (Li et al. 2024, Algorithm 1).

What it may learn from: rows of the images table whose subsets hold `train`, and their features. No label is read here, and
none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.adaptation.record import ALGORITHM_VERSION, AdapterRecord, IterationMetrics, Origin, TrainingRows
from cvgl.adaptation.transforms import SELECTION_FILE as SELECTION_FILE  # this stage writes it, too
from cvgl.config import AdaptConfig, Recipe, SelectConfig
from cvgl.errors import ConfigError, DataError, LakeError
from cvgl.features import FeatureStore
from cvgl.hashing import digest_json, digest_lines
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_versioned, sweep, write_versioned
from cvgl.lake.locks import exclusive
from cvgl.stages.sequences import frame_sequences
from cvgl.types import ArtifactRef, Progress, Subset, View, silent

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.quality.selection import Selection
    from cvgl.types import Float32Array

RUN_DIGEST_LENGTH = 12

OnIteration = Callable[[IterationMetrics], None]


@dataclass(frozen=True, slots=True)
class AdaptOutcome:
    """What the stage has done.

    Attributes:
        ref: the adapter.
        skipped: everything was already there.
        run: name of the adapter, a function of the training rows, the frozen model and the settings.
        iterations: EM iterations that the adapter has behind it.
    """

    ref: ArtifactRef
    skipped: bool
    run: str
    iterations: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the two sides learn from.

    Attributes:
        query_view: the view that is adapted to the satellite view.
        queries: image ids, sorted.
        references: image ids, sorted.
        sequences: which queries were taken in a row; None where the recipe or the images have no use for it.
    """

    query_view: View
    queries: tuple[str, ...]
    references: tuple[str, ...]
    sequences: FrameSequences | None

    def record(self) -> TrainingRows:
        return TrainingRows(
            n_queries=len(self.queries),
            n_references=len(self.references),
            query_ids_digest=digest_lines(self.queries),
            reference_ids_digest=digest_lines(self.references),
            trajectories_digest=None if self.sequences is None else self.sequences.digest(),
        )


def adapt(
    features: ArtifactRef,
    config: AdaptConfig,
    lake: Lake,
    progress: Progress = silent,
    on_iteration: OnIteration | None = None,
    rules: SelectConfig | None = None,
) -> AdaptOutcome:
    """Learns an adapter from the training rows of a dataset, or finds that it is there already.

    Args:
        features: of one dataset under one frozen model.
        config: the settings.
        lake: where everything is.
        progress: told how many iterations are done.
        on_iteration: told every iteration's metrics; not called when the adapter is there already.
        rules: of the choice that the recipe `auto` makes, without labels; what it rests on is in selection.json, beside the
            adapter, whose record names the recipe that was chosen.

    Raises:
        ConfigError: the dataset has several query views and the settings do not say which.
        DataError: no training rows on one of the sides.
        LakeError: something in the lake is missing or damaged.
    """
    from cvgl.adaptation import Adaptation, learn, read_record
    from cvgl.adaptation.transforms import RECORD_FILE

    store = FeatureStore(features.path)
    rows = _training_rows(lake, features.name, store.ids(), config)
    settings = config.model_copy(update={"query_view": rows.query_view})
    run = run_name(features, rows.record(), settings, rules)
    folder = lake.adapter(run)

    def say_waiting() -> None:
        progress(0, settings.iterations, "waiting for another process that trains the same adapter")

    with exclusive(lake.lock(f"adapter-{run}"), say_waiting):
        if (folder / RECORD_FILE).exists():
            adaptation = Adaptation.load(folder)
            return _outcome(folder, adaptation.record, skipped=True)
        sweep(folder)  # what a killed process left behind; nobody else writes here now
        queries, references = store.read(rows.queries), store.read(rows.references)
        if settings.recipe is Recipe.AUTO:
            settings = _chosen(queries, references, settings, rows.sequences, rules, folder, progress)
        adaptation = learn(
            queries,
            references,
            config=settings,
            on_iteration=_reporting(progress, settings.iterations, on_iteration),
            checkpoint=folder / "checkpoint.safetensors",
            sequences=rows.sequences,
        )
        origin = Origin(run=run, dataset=features.name, feature_set_id=features.digest, query_view=rows.query_view)
        adaptation.save(folder, origin, rows.record())
    return _outcome(folder, read_record(folder), skipped=False)


def _reporting(progress: Progress, total: int, on_iteration: OnIteration | None) -> OnIteration:
    def report(metrics: IterationMetrics) -> None:
        progress(metrics.iteration, total, f"{metrics.labelled_share:.0%} of the drawn queries have a pseudo-label")
        if on_iteration is not None:
            on_iteration(metrics)

    return report


def _chosen(
    queries: Float32Array,
    references: Float32Array,
    config: AdaptConfig,
    sequences: FrameSequences | None,
    rules: SelectConfig | None,
    folder: Path,
    progress: Progress,
) -> AdaptConfig:
    """The settings of the recipe that `auto` stands for here. A choice that was made before a crash stands."""
    from cvgl.quality.selection import chosen_settings, select

    path = folder / SELECTION_FILE
    if path.is_file():
        selection = read_selection(folder)
    else:
        selection = select(queries, references, config, rules, sequences, on_candidate=progress)
        write_versioned(path, "selection", selection.model_dump(mode="json"))
    return chosen_settings(config, selection)


def read_selection(folder: Path) -> Selection:
    """Why the recipe of an adapter was chosen.

    Args:
        folder: of an adapter that was made with the recipe `auto`.

    Raises:
        LakeError: there is none, or it is damaged.
    """
    from pydantic import ValidationError

    from cvgl.quality.selection import Selection

    path = folder / SELECTION_FILE
    try:
        return Selection.model_validate(read_versioned(path, "selection"))
    except ValidationError as error:
        first = error.errors()[0]
        raise LakeError(
            f"the record of a choice is not valid: {first['msg']}",
            where=path,
            fix="restore it from a backup, or move the folder away and adapt again",
        ) from error


def run_name(features: ArtifactRef, rows: TrainingRows, config: AdaptConfig, rules: SelectConfig | None = None) -> str:
    """DATASET-RECIPE-DIGEST: equal names mean equal training."""
    parts: list[object] = [features.digest, rows.model_dump(mode="json"), config.identity(), ALGORITHM_VERSION]
    if config.recipe is Recipe.AUTO:
        from cvgl.quality.selection import IMPLEMENTATION

        parts += [IMPLEMENTATION, (rules or SelectConfig()).model_dump(mode="json")]
    digest = digest_json(parts)
    return f"{features.name}-{config.recipe}-{digest[:RUN_DIGEST_LENGTH]}"


def _outcome(folder: Path, record: AdapterRecord, *, skipped: bool) -> AdaptOutcome:
    run = folder.name
    ref = ArtifactRef(kind="adapter", path=folder, digest=record.tensors_sha256, name=run)
    return AdaptOutcome(ref=ref, skipped=skipped, run=run, iterations=len(record.history))


def _training_rows(lake: Lake, dataset: str, embedded: Sequence[str], config: AdaptConfig) -> _Rows:
    """The training images that have features (an image that could not be decoded has none), by side."""
    available = set(embedded)
    by_view: dict[View, list[dict[str, Any]]] = {}
    for image in tables.read_images(lake, dataset).to_pylist():
        if Subset.TRAIN in image["subsets"] and image["image_id"] in available:
            by_view.setdefault(View(image["view"]), []).append(image)
    references = by_view.pop(View.SATELLITE, [])
    view = _query_view(by_view, config.query_view, dataset)
    if not references:
        raise DataError(
            f"the dataset '{dataset}' has no satellite image with features to learn from",
            where=dataset,
            fix="ingest satellite images in the subset 'train' and extract their features",
        )
    queries, references = (sorted(side, key=itemgetter("image_id")) for side in (by_view[view], references))
    return _Rows(
        query_view=view,
        queries=tuple(image["image_id"] for image in queries),
        references=tuple(image["image_id"] for image in references),
        sequences=frame_sequences(queries, references) if config.recipe in (Recipe.ROBUST, Recipe.AUTO) else None,
    )


def _query_view(by_view: Mapping[View, object], wanted: View | None, dataset: str) -> View:
    if wanted is not None and wanted.is_reference:
        raise ConfigError(
            f"query_view is '{wanted}', which is the reference side", where="AdaptConfig.query_view", fix="drone or ground"
        )
    if wanted is None and len(by_view) > 1:
        raise ConfigError(
            f"the dataset '{dataset}' has several query views: {', '.join(sorted(by_view))}",
            where="AdaptConfig.query_view",
            fix="say which of them is to be adapted",
        )
    views = [view for view in by_view if wanted in (None, view)]
    if not views:
        raise DataError(
            f"the dataset '{dataset}' has no {wanted or 'drone or ground'} image with features to learn from",
            where=dataset,
            fix="ingest such images in the subset 'train' and extract their features",
        )
    return views[0]
