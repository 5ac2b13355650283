"""Which options there are: for each a flag, and the field of the settings that it fills; in the groups that commands name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """An option and the field of `RunConfig` that it fills.

    Attributes:
        flag: e.g. ``"--query-crop"``; a name in capitals is a positional argument.
        path: dotted path of the field, e.g. ``"extract.alignment.query_crop"``.
        environment: a variable that gives the value when the option is absent.
    """

    flag: str
    path: str
    environment: str | None = None

    @property
    def parameter(self) -> str:
        """Name of the parameter of the command function."""
        return self.flag.strip("-").replace("-", "_").lower()

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument and no option."""
        return not self.flag.startswith("-")


LAKE = (Setting("--lake", "lake", "CVGL_LAKE"),)
DATASET = (Setting("--dataset", "ingest.dataset"),)
POSITIONAL_SOURCE = (Setting("SOURCE", "ingest.source"),)
SOURCE = (Setting("--source", "ingest.source"),)
LAYOUT = (
    Setting("--layout", "ingest.layout"),
    Setting("--root", "ingest.root"),
    Setting("--altitude", "ingest.height"),
    Setting("--max-pixels", "ingest.max_pixels"),
)
FEATURES = (
    Setting("--backbone", "extract.backbone.name"),
    Setting("--checkpoint", "extract.backbone.checkpoint"),
    Setting("--layer", "extract.backbone.layers"),
    Setting("--facet", "extract.backbone.facet"),
    Setting("--pooling", "extract.backbone.pooling"),
    Setting("--gem-p", "extract.backbone.gem_p"),
    Setting("--clusters", "extract.backbone.clusters"),
    Setting("--vocabulary", "extract.backbone.vocabulary"),
    Setting("--rings", "extract.backbone.rings"),
    Setting("--grid", "extract.backbone.cells"),
    Setting("--image-size", "extract.backbone.image_size"),
    Setting("--preprocessing", "extract.backbone.preprocessing"),
    Setting("--resize", "extract.backbone.resize"),
    Setting("--position-resampling", "extract.backbone.position_resampling"),
    Setting("--final-norm", "extract.backbone.final_norm"),
    Setting("--query-crop", "extract.alignment.query_crop"),
    Setting("--reference-crop", "extract.alignment.reference_crop"),
    Setting("--reference-rotations", "extract.alignment.reference_rotations"),
    Setting("--query-rotations", "extract.alignment.query_rotations"),
    Setting("--flips", "extract.alignment.flips"),
    Setting("--tilt", "extract.alignment.tilt"),
    Setting("--field-of-view", "extract.alignment.field_of_view"),
    Setting("--polar", "extract.alignment.polar"),
    Setting("--reference-scale", "extract.alignment.reference_scales"),
    Setting("--device", "extract.device"),
    Setting("--precision", "extract.precision"),
    Setting("--half-storage", "extract.half_storage"),
    Setting("--batch-size", "extract.batch_size"),
    Setting("--workers", "extract.workers"),
    Setting("--part-rows", "extract.part_rows"),
)
ALIGN = (Setting("--align", "align.enabled"),)
ALIGNMENT = (
    Setting("--align-samples", "align.samples"),
    Setting("--align-passes", "align.max_passes"),
    Setting("--align-seed", "align.seed"),
)
ALIGN_VIEW = (Setting("--align-view", "align.query_view"),)
CLUSTER = (
    Setting("--runner", "cluster.runner"),
    Setting("--shards", "cluster.shards"),
    Setting("--cluster", "cluster.address"),
    Setting("--shard-cpus", "cluster.cpus"),
    Setting("--shard-gpus", "cluster.gpus"),
)
DEVICE = (Setting("--device", "extract.device"),)
ADAPTER = (
    Setting("--recipe", "adapt.recipe"),
    Setting("--seed", "adapt.seed"),
    Setting("--dimension", "adapt.dimension"),
    Setting("--iterations", "adapt.iterations"),
    Setting("--query-samples", "adapt.query_samples"),
    Setting("--temperature", "adapt.temperature"),
    Setting("--threshold", "adapt.threshold"),
    Setting("--learning-rate", "adapt.learning_rate"),
    Setting("--weight-decay", "adapt.weight_decay"),
    Setting("--smoothing", "adapt.smoothing"),
    Setting("--em-weight", "adapt.em_weight"),
    Setting("--reconstruction-weight", "adapt.reconstruction_weight"),
    Setting("--residual", "adapt.residual"),
    Setting("--query-view", "adapt.query_view"),
    Setting("--training-device", "adapt.device"),
    Setting("--training-precision", "adapt.precision"),
)
SELECTION = (
    Setting("--select-candidate", "select.candidates"),
    Setting("--select-confidence", "select.confidence"),
    Setting("--select-z-sequence", "select.confidence_along"),
    Setting("--select-max-flops", "select.most_work"),
    Setting("--select-repeats", "select.repeats"),
    Setting("--select-min-images", "select.fewest"),
)
EVALUATION = (
    Setting("--protocol", "evaluate.protocols"),
    Setting("--top-k", "evaluate.top_k"),
    Setting("--rerank", "evaluate.rerank.enabled"),
    Setting("--rerank-neighbours", "evaluate.rerank.neighbours"),
    Setting("--rerank-expansion", "evaluate.rerank.expansion"),
    Setting("--rerank-original", "evaluate.rerank.original"),
)
REGISTRY = (
    Setting("--tracking-uri", "registry.tracking_uri"),
    Setting("--model-name", "registry.model_name"),
    Setting("--gate-policy", "registry.policy"),
    Setting("--tolerance", "registry.tolerance"),
    Setting("--non-inferiority-margin", "registry.grown_tolerance"),
    Setting("--gate-confidence", "registry.confidence"),
    Setting("--gate-resamples", "registry.resamples"),
    Setting("--gate-seed", "registry.seed"),
    Setting("--registry-timeout", "registry.patience_s"),
)
WATCH = (
    Setting("--quiet-seconds", "watch.quiet_seconds"),
    Setting("--marker", "watch.marker"),
    Setting("--poll-seconds", "watch.poll_seconds"),
    Setting("--prune", "watch.forget"),
    Setting("--max-missing-share", "watch.largest_loss"),
    Setting("--parallel-extractions", "parallel_extractions"),
)
POLICY = (
    Setting("--min-new", "decide.minimum_new"),
    Setting("--significance", "decide.significance"),
    Setting("--adapt-effect", "decide.adapt_effect"),
    Setting("--ask-effect", "decide.ask_effect"),
    Setting("--quality-drop", "decide.quality_drop"),
    Setting("--min-growth", "decide.growth"),
    Setting("--max-hours", "decide.longest_hours"),
    Setting("--max-memory-gb", "decide.largest_gigabytes"),
)
GROUPS = (
    *(LAKE, DATASET, SOURCE, LAYOUT, ALIGN, ALIGNMENT, ALIGN_VIEW, FEATURES, CLUSTER, ADAPTER, SELECTION, EVALUATION, REGISTRY),
    *(WATCH, POLICY),
)
# What `cvgl run --help` and `cvgl watch --help` show; every other field is set by `--set`, and listed by `cvgl settings`.
EVERYDAY = frozenset(
    [
        *(
            "--lake",
            "--dataset",
            "--source",
            "--layout",
            "--align",
            "--backbone",
            "--checkpoint",
            "--image-size",
            "--query-crop",
        ),
        *("--reference-rotations", "--device", "--batch-size", "--workers", "--runner", "--shards", "--recipe", "--seed"),
        *("--iterations", "--query-view", "--protocol", "--rerank", "--tracking-uri", "--gate-policy"),
        *("--registry-timeout", "--quiet-seconds", "--marker", "--poll-seconds", "--prune", "--max-missing-share"),
        *("--min-new", "--min-growth", "--max-hours"),
    ]
)
