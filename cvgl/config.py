"""Every setting of the system, once: typed, bounded, with its unit and source.

The models are frozen and refuse unknown keys. They are the parameters of the Prefect flows, so Prefect's form validates
the same bounds; a command-line option only ever fills one of these fields. A file with settings is read with
`RunConfig.model_validate_json`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cvgl.hashing import digest_json
from cvgl.types import View

Value = TypeVar("Value")


def _dataset_name(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c in "_-.") for c in name) or name[0] in ".-":
        raise ValueError("a dataset name consists of letters, digits, '_', '-' and '.', and starts with none of '.', '-'")
    return name


DatasetName = Annotated[str, AfterValidator(_dataset_name), Field(max_length=64)]


class Settings(BaseModel):
    """Base: immutable, and a misspelt field is an error rather than a setting that does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def digest(self) -> str:
        """Hash of all fields; equal settings have equal digests."""
        return digest_json(self.model_dump(mode="json"))


class Layout(StrEnum):
    """How a source folder is laid out."""

    AUTO = "auto"
    UNIVERSITY1652 = "university1652"
    FOLDER = "folder"
    MANIFEST = "manifest"


class IngestConfig(Settings):
    """What to take in."""

    source: str = Field(description="folder of pictures, or a CSV/Parquet manifest")
    dataset: DatasetName = Field(description="name of the dataset in the lake")
    layout: Layout = Field(Layout.AUTO, description="how the source is laid out; auto looks at it")
    root: str | None = Field(
        None, description="folder that a manifest's paths start from and that none may leave; default: the manifest's own"
    )
    max_pixels: int = Field(
        178_956_970,
        ge=1,
        description="pictures with more pixels are refused undecoded (decompression bombs); twice Pillow's warning level",
    )


class Facet(StrEnum):
    """Which activations of a transformer block are pooled. AUTO: value for plain ViTs (paper), token otherwise."""

    AUTO = "auto"
    TOKEN = "token"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"


class Pooling(StrEnum):
    """How local features become one descriptor. AUTO: GeM over a ViT's facet (paper, Eq. 1), mean otherwise."""

    AUTO = "auto"
    GEM = "gem"
    MEAN = "mean"
    MAX = "max"
    CLS = "cls"


class BackboneConfig(Settings):
    """The frozen model f0."""

    name: str = Field("gist", min_length=1, description="'gist' (needs no weights), or any timm model name")
    checkpoint: str | None = Field(None, description="local weights (.safetensors, .pt, .pth); default: timm's hub weights")
    layers: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="blocks (ViT) or stages (hierarchical model) whose descriptors are joined, from 0, negative from the end; "
        "default: block at 31/40 of a ViT's depth (the paper's layer 31 of ViT-g), or the last stage that the checkpoint holds",
    )
    facet: Facet = Facet.AUTO
    pooling: Pooling = Pooling.AUTO
    gem_p: float = Field(3.0, gt=0, le=64, description="GeM exponent (paper: 3)")
    rings: int = Field(
        1,
        ge=1,
        le=16,
        description="from 2 on: that many concentric square rings are pooled besides the whole picture, and joined "
        "(square-ring partition, Wang et al. 2021)",
    )
    image_size: int | None = Field(None, ge=16, le=4096, description="input side in pixels; default: the model's own")

    @model_validator(mode="before")
    @classmethod
    def _one_layer(cls, values: Any) -> Any:
        """Records and settings from before several layers could be named have one of them, called `layer`."""
        if not isinstance(values, dict) or "layer" not in values:
            return values
        if "layers" in values:
            raise ValueError("give layers or layer, not both")
        rest = {name: value for name, value in values.items() if name != "layer"}
        return rest if values["layer"] is None else {**rest, "layers": (values["layer"],)}


class AlignmentConfig(Settings):
    """Making both views show the same ground at any heading, before a descriptor is computed. No setting needs a label."""

    query_crop: float = Field(
        1.0, gt=0, le=1, description="centre share of each side of a drone or street picture that is embedded"
    )
    reference_crop: float = Field(
        1.0, gt=0, le=1, description="centre share of each side of a tile that is embedded, for pictures that show less ground"
    )
    reference_rotations: Literal[1, 2, 4, 8] = Field(
        1, description="the reference descriptor is the mean over this many turns of the tile"
    )
    query_rotations: Literal[1, 4] = Field(
        1, description="the query descriptor is the mean over this many turns of the picture (of a panorama: shifts)"
    )
    flips: bool = Field(False, description="each descriptor is the mean with that of the mirrored picture, in both views")
    tilt: float = Field(
        0.0, ge=0, le=70, description="degrees from straight down at which drones look; their pictures are warped to look down"
    )
    field_of_view: float = Field(60.0, ge=5, le=120, description="vertical, in degrees; assumed where tilt is given")
    polar: bool = Field(False, description="tiles are unrolled around their middle: columns are azimuths, the top is far")
    reference_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,), min_length=1, description="the reference descriptor is the mean over these centre shares of the tile"
    )


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class ExtractConfig(Settings):
    """How descriptors are computed and stored."""

    backbone: BackboneConfig = BackboneConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    precision: Precision = Field(Precision.FLOAT32, description="of the forward pass; bfloat16 is slower on CPUs without AMX")
    half_storage: bool = Field(False, description="store float16 instead of float32")
    device: Device = Device.AUTO
    batch_size: int = Field(32, ge=1, le=4096, description="pictures a forward pass; halved when memory runs out")
    workers: int = Field(2, ge=1, le=64, description="threads that decode while the model runs")
    part_rows: int = Field(256, ge=1, description="rows of a Parquet part: what a killed process loses at most")


class AlignConfig(Settings):
    """Choosing the alignment without labels: which candidates are tried, on how many pictures, at which cost.

    Settings of the extraction that were given, rather than left at their defaults, are kept as they are.
    """

    enabled: bool = Field(True, description="choose how the views are aligned, without labels, before they are described")
    samples: int = Field(256, ge=1, le=100_000, description="training pictures of each view that candidates are tried on")
    max_passes: int = Field(8192, ge=1, description="model inputs that the choice may cost in total")
    seed: int = Field(0, ge=0, lt=2**31, description="of the sample")
    query_crops: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field((1.0, 0.85, 0.7, 0.6, 0.5), min_length=1)
    reference_crops: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0, 0.8, 0.65), min_length=1, description="those below 1 are tried only when the whole query picture is best"
    )
    rotations: tuple[Literal[1, 2, 4, 8], ...] = Field((1, 4), min_length=1, description="of the references")
    rings: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field((1, 2, 4), min_length=1)
    more_layers: bool = Field(True, description="also try the layer before the model's own joined to it")
    tilts: tuple[Annotated[float, Field(ge=0, le=70)], ...] = Field((0.0, 20.0, 35.0, 50.0), description="for drone pictures")
    query_view: View | None = Field(None, description="which view is aligned with the tiles; default: the only one there is")


class Recipe(StrEnum):
    """Ways to learn an adapter.

    Those named "paper" run Algorithm 1 of Li et al. 2024 and differ in what the descriptors go through first. The statistics
    are those of the unlabelled training rows. As printed, the algorithm's first pseudo-labels follow the views' offsets and
    gather on a few hubs; on the real sets measured it then loses to the frozen descriptors or equals them
    (docs/adaptation.md). So the default removes the offsets first, and says so in its name. "released" is the trainer that
    the authors published, which differs from what they printed in almost every part. "robust" is this project's own: each
    view standardised, then a Gaussian model of the difference between the views, in closed form (docs/robust.md).
    """

    PAPER = "paper"  # L2 alone, as printed
    PAPER_CENTRED = "paper-centred"  # minus their own view's mean, then L2
    PAPER_STANDARDISED = "paper-standardised"  # minus their own view's mean, over its own deviation, then L2
    RELEASED = "released"  # L2, then the published trainer: batch normalisation, mutual labels, learned temperature
    ROBUST = "robust"  # minus mean, over deviation, L2, then within-place whitening learned by expectation-maximisation


_GRADIENT_ONLY = ("residual", "threshold", "temperature", "learning_rate", "em_weight", "reconstruction_weight")
"""Settings of the recipes that follow a gradient; `robust` has its M-step in closed form."""


def by_recipe(paper: Value, released: Value, robust: Value) -> Callable[[dict[str, Any]], Value]:
    """A default that depends on the recipe, which is validated before the field that has it."""
    own = {Recipe.RELEASED: released, Recipe.ROBUST: robust}
    return lambda data: own.get(data["recipe"], paper)


class AdaptConfig(Settings):
    """The adapter's training. Defaults are the paper's (Li et al. 2024, Section III-F and IV-B) where it gives one, and those
    of its published trainer for the recipe `released`.

    A default that depends on the recipe is filled in when the settings are made, so a record of them holds every value.
    """

    recipe: Recipe = Field(
        Recipe.ROBUST,
        description="'robust' is this project's own, 'paper' the algorithm as printed, 'paper-...' the same on aligned views, "
        "'released' the authors' code",
    )
    residual: bool = Field(
        False,
        description="the adapted descriptor is x + x W instead of x W, in place of the reverter (paper: Fig. 6a, Table VI); "
        "the dimension then stays d0",
    )
    dimension: int | None = Field(
        default_factory=lambda data: None if data["residual"] or data["recipe"] is Recipe.ROBUST else 2048,
        ge=1,
        le=16384,
        description="d of the adapted space (paper and released: 2048); none: d0, the only one with residual and robust",
    )
    iterations: int = Field(
        default_factory=by_recipe(60, 200, 5),
        ge=0,
        description="T (paper: 60; 10 for CVUSA and CVACT; released: 200 epochs of one batch; robust: 5)",
    )
    query_samples: int | None = Field(
        default_factory=by_recipe(700, None, None),
        ge=1,
        description="queries drawn each iteration (paper: 700; 1,500 for CVUSA and CVACT; released: none, one per "
        "reference; robust: none, all of them, the same in each iteration)",
    )
    threshold: float = Field(
        0.1, ge=-1, le=1, description="a pseudo-label needs a similarity above this (paper and released: 0.1)"
    )
    temperature: float = Field(
        default_factory=by_recipe(0.1, 1 / 14.28, 0.1),
        gt=0,
        description="tau of InfoNCE, Eq. 6 (not given in the paper: 0.1; released learns it, starting at 1 / 14.28)",
    )
    learning_rate: float = Field(
        default_factory=by_recipe(1e-3, 2e-4, 1e-3),
        gt=0,
        description="of Adam (paper: 0.001), or of AdamW at its highest (released: 0.0002)",
    )
    weight_decay: float = Field(
        default_factory=by_recipe(0.0, 0.01, 0.0), ge=0, description="of AdamW (released: 0.01; the paper has none)"
    )
    smoothing: float = Field(
        default_factory=by_recipe(0.0, 0.1, 0.0),
        ge=0,
        lt=1,
        description="of InfoNCE's targets (released: 0.1; the paper has none)",
    )
    em_weight: float = Field(1.0, ge=0, description="weight of L_EM (paper and released: 1)")
    reconstruction_weight: float = Field(
        default_factory=lambda data: 0.0 if data["residual"] else 1.0,
        ge=0,
        description="weight of L_re, Eq. 8 (paper and released: 1); 0 switches AIC off, as residual does",
    )
    seed: int = Field(0, ge=0, lt=2**31)
    query_view: View | None = Field(
        None, description="which view is adapted to the satellite view; default: the only one there is"
    )
    device: Device = Field(Device.AUTO, description="where the training runs; auto takes a GPU when there is one")
    precision: Precision = Field(
        Precision.FLOAT32, description="of the matrix products; tf32 and bfloat16 need a GPU, float16 is not offered"
    )
    hubness_neighbours: int = Field(
        10, ge=1, le=1000, description="k of the hubness correction, CSLS, under which `robust` finds its pseudo-labels"
    )
    checkpoint_every: int = Field(10, ge=1, description="iterations between checkpoints")

    @model_validator(mode="after")
    def _fits_the_recipe(self) -> Self:
        if self.recipe is not Recipe.RELEASED and (self.weight_decay or self.smoothing):
            raise ValueError("weight_decay and smoothing belong to the recipe 'released'; the paper's have neither")
        if self.recipe is Recipe.ROBUST:
            self._refuse_gradient_settings()
        if self.residual and self.recipe is Recipe.RELEASED:
            raise ValueError("residual is a variant of the paper's recipes; 'released' has none")
        if self.residual and self.reconstruction_weight:
            raise ValueError("residual takes the place of the reverter: leave reconstruction_weight out, or set it to 0")
        if not self.em_weight and not self.reconstruction_weight:
            raise ValueError("em_weight and reconstruction_weight are both 0: there is nothing to learn (or set iterations=0)")
        if self.precision is Precision.FLOAT16:
            raise ValueError("training in float16 is not offered, since its gradients underflow; use bfloat16")
        return self

    def _refuse_gradient_settings(self) -> None:
        if self.dimension is not None:
            raise ValueError("the recipe 'robust' keeps the dimension of the descriptors: leave dimension out")
        for name in _GRADIENT_ONLY:
            if getattr(self, name) != type(self).model_fields[name].get_default(
                call_default_factory=True, validated_data={"recipe": self.recipe, "residual": False}
            ):
                raise ValueError(f"{name} belongs to the recipes that follow a gradient; 'robust' has no use for it")

    def identity(self) -> dict[str, Any]:
        """Everything that decides what is learned: not where it runs, nor how often the state is saved."""
        return self.model_dump(mode="json", exclude={"device", "checkpoint_every"})


class EvaluateConfig(Settings):
    """What is measured. Names of protocols: see `cvgl.retrieval.protocols`."""

    protocols: tuple[str, ...] = Field(("auto",), min_length=1, description="auto: what the dataset's layout is judged by")
    radii_m: tuple[float, ...] = Field((25.0, 50.0, 100.0), description="share of queries placed within these metres")
    top_k: int = Field(10, ge=1, le=1000, description="answers kept for each query")
    window: int = Field(
        20, ge=1, le=1000, description="pictures of a sequence that are placed together, ending with the one asked for"
    )


class RegisterConfig(Settings):
    """The registry and the gate in front of it."""

    tracking_uri: str | None = Field(None, description="MLflow's; default: sqlite under the lake")
    model_name: str | None = Field(None, description="registered model; default: cvgl-<dataset>")
    tolerance: float = Field(
        0.0, ge=0, le=1, description="R@1 that a challenger may lie below the champion and still be promoted"
    )


class RunConfig(Settings):
    """One run of the whole pipeline."""

    lake: str = Field(".cvgl", description="folder that holds everything")
    ingest: IngestConfig
    align: AlignConfig = AlignConfig()
    extract: ExtractConfig = ExtractConfig()
    # Made anew, so that a form that is filled in from the defaults holds none of one recipe under the name of another.
    adapt: AdaptConfig = Field(default_factory=AdaptConfig)
    evaluate: EvaluateConfig = EvaluateConfig()
    registry: RegisterConfig = RegisterConfig()

    @property
    def dataset(self) -> str:
        return self.ingest.dataset
