"""Frozen models by name: which network and weights, and which of its activations become the descriptor.

A preset fills settings of `BackboneConfig` that were not given; what a run records are the settings, never the preset's
name, so a preset that changes one day changes nothing that has been computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from cvgl.config.backbone import Facet, Pooling, PositionResampling, Preprocess


@dataclass(frozen=True, slots=True)
class Preset:
    """A frozen model and the settings of its descriptor; the fields are those of `BackboneConfig`.

    Attributes:
        name: of the preset.
        model: timm's name, with the tag of its weights.
        summary: one line.
        layers: blocks or stages, from 0.
        final_norm: whether tokens pass the model's last normalisation.
    """

    name: str
    model: str
    summary: str
    layers: tuple[int, ...]
    facet: Facet
    pooling: Pooling
    preprocessing: Preprocess = Preprocess.WHOLE
    position_resampling: PositionResampling = PositionResampling.BICUBIC
    final_norm: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of `BackboneConfig` that it fills."""
        return {
            "name": self.model,
            "layers": self.layers,
            "facet": self.facet,
            "pooling": self.pooling,
            "gem_p": 3.0,
            "preprocessing": self.preprocessing,
            "position_resampling": self.position_resampling,
            "final_norm": self.final_norm,
        }


@dataclass(frozen=True, slots=True)
class _Transformer:
    """A plain vision transformer with a class token, of which there are two presets."""

    name: str
    model: str
    summary: str
    depth: int
    preprocessing: Preprocess = Preprocess.WHOLE
    position_resampling: PositionResampling = PositionResampling.BICUBIC

    def presets(self) -> Iterator[Preset]:
        """Values of the block at the paper's relative depth, under GeM; and the class token as the model's own head sees it."""
        yield self.at(self.depth * 32 // 40 - 1, Facet.VALUE, Pooling.GEM, self.name)  # block 31 of 40 (Section III-C)
        token = self.at(self.depth - 1, Facet.TOKEN, Pooling.CLS, f"{self.name}-cls")
        yield replace(token, summary=f"{self.summary}: class token behind the last normalisation", final_norm=True)

    def at(self, block: int, facet: Facet, pooling: Pooling, name: str) -> Preset:
        """One facet of one block."""
        summary = f"{self.summary}: {facet} facet of block {block} of {self.depth}, {pooling}"
        return Preset(name, self.model, summary, (block,), facet, pooling, self.preprocessing, self.position_resampling)


def _dinov2() -> Iterator[_Transformer]:
    # The release of the models without registers resamples positions in a way of its own; the one of those with registers
    # antialiases, which is what timm does as well.
    for size, word, depth in (("s", "small", 12), ("b", "base", 12), ("l", "large", 24), ("g", "giant", 40)):
        for suffix, part, resampling in (
            ("", "", PositionResampling.RELEASED),
            ("-reg", "_reg4", PositionResampling.TIMM_ANTIALIASED),
        ):
            yield _Transformer(
                f"dinov2-{size}{suffix}",
                f"vit_{word}_patch14{part}_dinov2.lvd142m",
                f"DINOv2 ViT-{size if size == 'g' else size.upper()}/14{' with registers' if part else ''}",
                depth,
                Preprocess.RELEASED,
                resampling,
            )


def _dinov3() -> Iterator[_Transformer]:
    web, satellite = "lvd1689m", "sat493m"
    for name, part, word, depth, weights in (
        ("s", "small", "ViT-S/16", 12, web),
        ("s-plus", "small_plus", "ViT-S+/16", 12, web),
        ("b", "base", "ViT-B/16", 12, web),
        ("l", "large", "ViT-L/16", 24, web),
        ("l-sat", "large", "ViT-L/16 trained on satellite imagery", 24, satellite),
        ("h-plus", "huge_plus", "ViT-H+/16", 32, web),
        ("7b", "7b", "ViT-7B/16", 40, web),
        ("7b-sat", "7b", "ViT-7B/16 trained on satellite imagery", 40, satellite),
    ):
        yield _Transformer(f"dinov3-{name}", f"vit_{part}_patch16_dinov3.{weights}", f"DINOv3 {word}", depth)


def _transformers() -> Iterator[_Transformer]:
    yield from _dinov2()
    yield from _dinov3()
    for size, word in (("s", "small"), ("b", "base")):
        for patch in (16, 8):
            model = f"vit_{word}_patch{patch}_224.dino"
            summary = f"DINO ViT-{size.upper()}/{patch}"
            yield _Transformer(f"dino-{size}{patch}", model, summary, 12, position_resampling=PositionResampling.RELEASED)
    # OpenAI's weights were trained with the quick form of GELU.
    for name, part, summary, depth in (
        ("b32", "base_patch32_clip_quickgelu_224", "CLIP ViT-B/32 (OpenAI)", 12),
        ("b16", "base_patch16_clip_quickgelu_224", "CLIP ViT-B/16 (OpenAI)", 12),
        ("l14", "large_patch14_clip_quickgelu_224", "CLIP ViT-L/14 (OpenAI)", 24),
        ("l14-336", "large_patch14_clip_quickgelu_336", "CLIP ViT-L/14 at 336 pixels (OpenAI)", 24),
    ):
        yield _Transformer(f"clip-{name}", f"vit_{part}.openai", summary, depth)
    for name, part, word, depth in (
        ("ti16", "tiny_patch16_224.augreg_in21k_ft_in1k", "ViT-Ti/16", 12),
        ("s16", "small_patch16_224.augreg_in21k_ft_in1k", "ViT-S/16", 12),
        ("b32", "base_patch32_224.augreg_in21k_ft_in1k", "ViT-B/32", 12),
        ("b16", "base_patch16_224.augreg2_in21k_ft_in1k", "ViT-B/16", 12),
        ("b8", "base_patch8_224.augreg2_in21k_ft_in1k", "ViT-B/8", 12),
        ("l16", "large_patch16_224.augreg_in21k_ft_in1k", "ViT-L/16", 24),
    ):
        yield _Transformer(f"vit-{name}", f"vit_{part}", f"{word}, ImageNet-21k and 1k", depth)


def _staged() -> Iterator[Preset]:
    """Models whose last stage is averaged over the picture."""
    names = [("resnet50-imagenet", "resnet50.tv_in1k", "ResNet-50, ImageNet-1k (torchvision's first weights)", 4)]
    for size, word in (("t", "tiny"), ("s", "small"), ("b", "base"), ("l", "large"), ("xl", "xlarge")):
        letter = size.upper()
        model = f"convnext_{word}"
        names.append((f"convnext-{size}", f"{model}.fb_in22k_ft_in1k", f"ConvNeXt-{letter}, ImageNet-22k and 1k", 3))
        if size != "xl":
            names.append((f"dinov3-convnext-{size}", f"{model}.dinov3_lvd1689m", f"DINOv3 ConvNeXt-{letter}", 3))
    for name, model, summary, stage in names:
        yield Preset(name, model, f"{summary}: mean of the last stage", (stage,), Facet.TOKEN, Pooling.MEAN)


def _named() -> Iterator[Preset]:
    transformers = list(_transformers())
    for transformer in transformers:
        yield from transformer.presets()
    giant = next(transformer for transformer in transformers if transformer.name == "dinov2-g")
    paper, anyloc = (giant.at(31, Facet.VALUE, pooling, "") for pooling in (Pooling.GEM, Pooling.VLAD))
    yield replace(paper, name="dinov2-g-value31-gem", summary=f"the paper's: {paper.summary}, p = 3")
    yield replace(anyloc, name="dinov2-g-value31-vlad", summary=f"AnyLoc's: {anyloc.summary}")
    yield from _staged()


PRESETS = MappingProxyType({preset.name: preset for preset in sorted(_named(), key=lambda preset: preset.name)})
"""Every preset by its name."""
