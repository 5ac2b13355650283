"""The frozen models of the paper's rows: what each of them is here, and whether its weights are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cvgl.config import PRESETS, BackboneConfig, Pooling
from cvgl.experiments.weights import Found


@dataclass(frozen=True, slots=True)
class PaperModel:
    """One frozen model that the paper measured.

    Attributes:
        title: what it is, for people.
        preset: name in `cvgl.config.PRESETS`; empty for models trained for the task.
        released: name of the architecture of a model trained for the task (`cvgl.backbones`); empty for the others.
        trained_on: which data set the released weights are to be of; empty where there is one.
        remark: where the paper leaves open what it used.
    """

    title: str
    preset: str = ""
    released: str = ""
    trained_on: str = ""
    remark: str = ""

    @property
    def timm_name(self) -> str:
        """Name in timm with the tag of the weights; empty for models trained for the task."""
        return PRESETS[self.preset].model if self.preset else ""

    @property
    def weights_file(self) -> str:
        """Name under which a folder of weights holds it."""
        if self.preset:
            return f"{self.timm_name}.safetensors"
        return f"{self.released}_{self.trained_on}.pth" if self.trained_on else f"{self.released}.pth"

    def at_hand(self, weights: Found) -> BackboneConfig | None:
        """Settings with the weights that a folder holds; none when it does not hold them."""
        if self.released:
            checkpoint = weights.released.get(self.weights_file.removesuffix(".pth"))
            return None if checkpoint is None else BackboneConfig(name=self.released, checkpoint=checkpoint)
        backbone = weights.of(self.timm_name.partition(".")[0])
        return None if backbone is None else BackboneConfig(name=self.preset, checkpoint=backbone.checkpoint)


PAPER_MODELS: Final[Mapping[str, PaperModel]] = {
    "dinov2": PaperModel("DINOv2 ViT-g/14, values of block 31, GeM", preset="dinov2-g-value31-gem"),
    "anyloc": PaperModel("AnyLoc: DINOv2 ViT-g/14, values of block 31, VLAD", preset="dinov2-g-value31-vlad"),
    "resnet50": PaperModel("ResNet-50, ImageNet", preset="resnet50-imagenet"),
    "clip": PaperModel("CLIP ViT-B/16", preset="clip-b16", remark="The paper does not say which CLIP it used."),
    "fsra": PaperModel("FSRA", released="fsra", trained_on="university1652"),
    "sample4geo": PaperModel("Sample4Geo", released="sample4geo", trained_on="university1652"),
    "geodtr-cvusa": PaperModel("GeoDTR trained on CVUSA", released="geodtr", trained_on="cvusa"),
    "geodtr-cvact": PaperModel("GeoDTR trained on CVACT", released="geodtr", trained_on="cvact"),
    "sample4geo-cvusa": PaperModel("Sample4Geo trained on CVUSA", released="sample4geo", trained_on="cvusa"),
    "sample4geo-cvact": PaperModel("Sample4Geo trained on CVACT", released="sample4geo", trained_on="cvact"),
}
RELEASED: Final = frozenset(model.weights_file.removesuffix(".pth") for model in PAPER_MODELS.values() if model.released)


def stand_ins(at_hand: tuple[BackboneConfig, ...], *, vlad: bool) -> tuple[BackboneConfig, ...]:
    """Models at hand that take the place of one of the paper's, with AnyLoc's pooling where it takes AnyLoc's.

    Another row's model of the paper does not take this row's, unless there is nothing else.
    """
    others = {model.timm_name.partition(".")[0] for model in PAPER_MODELS.values() if model.preset}
    chosen = tuple(backbone for backbone in at_hand if backbone.name.partition(".")[0] not in others) or at_hand
    if not vlad:
        return chosen
    return tuple(
        backbone.model_copy(update={"pooling": Pooling.VLAD, "rings": 1}) for backbone in chosen if backbone.name != "gist"
    )
