"""Every setting of the system, once: typed, bounded, with its unit and source.

The models are frozen and refuse unknown keys. They are the parameters of the Prefect flows, so Prefect's form validates
the same bounds; a command-line option only ever fills one of these fields. A file with settings is read with
`RunConfig.model_validate_json`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cvgl.hashing import digest_json
from cvgl.types import View


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
    layer: int | None = Field(
        None,
        description="block (ViT) or stage (hierarchical model), from 0, negative from the end; default: block at 31/40 of a "
        "ViT's depth (the paper's layer 31 of ViT-g), or the last stage that the checkpoint holds",
    )
    facet: Facet = Facet.AUTO
    pooling: Pooling = Pooling.AUTO
    gem_p: float = Field(3.0, gt=0, le=64, description="GeM exponent (paper: 3)")
    image_size: int | None = Field(None, ge=16, le=4096, description="input side in pixels; default: the model's own")


class AlignmentConfig(Settings):
    """Making both views show the same ground at any heading, before a descriptor is computed."""

    query_crop: float = Field(
        1.0, gt=0, le=1, description="centre share of each side of a drone or street picture that is embedded"
    )
    reference_rotations: Literal[1, 2, 4] = Field(
        1, description="the reference descriptor is the mean over this many right-angle turns of the tile"
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


class Recipe(StrEnum):
    """Ways to learn an adapter. All run Algorithm 1 of Li et al. 2024; they differ in what the descriptors go through first.

    The statistics are those of the unlabelled training rows. As printed, the algorithm's first pseudo-labels follow the
    views' offsets and gather on a few hubs; on the real sets measured it then loses to the frozen descriptors or equals them
    (docs/adaptation.md). So the default removes the offsets first, and says so in its name.
    """

    PAPER = "paper"  # L2 alone, as printed
    PAPER_CENTRED = "paper-centred"  # minus their own view's mean, then L2
    PAPER_STANDARDISED = "paper-standardised"  # minus their own view's mean, over its own deviation, then L2


class AdaptConfig(Settings):
    """The adapter's training (Li et al. 2024, Section III-F and IV-B). Defaults are the paper's where it gives one."""

    recipe: Recipe = Field(
        Recipe.PAPER_STANDARDISED, description="'paper' is the algorithm as printed; the others align the views first"
    )
    dimension: int | None = Field(2048, ge=1, le=16384, description="d of the adapted space (paper: 2048); none: d0")
    iterations: int = Field(60, ge=0, description="T (paper: 60; 10 for CVUSA and CVACT)")
    query_samples: int = Field(700, ge=1, description="queries drawn each iteration (paper: 700; 1,500 for CVUSA and CVACT)")
    threshold: float = Field(0.1, ge=-1, le=1, description="a pseudo-label needs a similarity above this (paper: 0.1)")
    temperature: float = Field(0.1, gt=0, description="tau of InfoNCE, Eq. 6 (not given in the paper)")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's (paper: 0.001)")
    em_weight: float = Field(1.0, ge=0, description="weight of L_EM (paper: 1)")
    reconstruction_weight: float = Field(1.0, ge=0, description="weight of L_re, Eq. 8 (paper: 1); 0 switches AIC off")
    seed: int = Field(0, ge=0, lt=2**31)
    query_view: View | None = Field(
        None, description="which view is adapted to the satellite view; default: the only one there is"
    )
    checkpoint_every: int = Field(10, ge=1, description="iterations between checkpoints")


class EvaluateConfig(Settings):
    """What is measured. Names of protocols: see `cvgl.retrieval.protocols`."""

    protocols: tuple[str, ...] = Field(("auto",), min_length=1, description="auto: what the dataset's layout is judged by")
    radii_m: tuple[float, ...] = Field((25.0, 50.0, 100.0), description="share of queries placed within these metres")
    top_k: int = Field(10, ge=1, le=1000, description="answers kept for each query")


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
    extract: ExtractConfig = ExtractConfig()
    adapt: AdaptConfig = AdaptConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    registry: RegisterConfig = RegisterConfig()

    @property
    def dataset(self) -> str:
        return self.ingest.dataset
