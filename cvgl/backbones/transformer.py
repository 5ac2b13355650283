"""Facets of a plain vision transformer: the token, query, key or value of every token, at any blocks.

The model is cut behind the last configured block. For query, key and value that block's attention is replaced by the one
projection of its input, so neither the attention nor anything behind it is computed. Earlier configured blocks record their
facet, so one forward pass serves all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.hierarchical import resolve_layers
from cvgl.backbones.pooling import Head, LocalFeatures
from cvgl.config import Facet, Pooling
from cvgl.errors import ConfigError, ModelError

_PROJECTIONS = {Facet.QUERY: (0, "q"), Facet.KEY: (1, "k"), Facet.VALUE: (2, "v")}


def is_plain(model: nn.Module) -> bool:
    """Whether blocks are of the kind x + attn(norm1(x)), all at one resolution."""
    from timm.models.beit import Beit
    from timm.models.beit import Block as BeitBlock
    from timm.models.eva import Eva, EvaBlock
    from timm.models.vision_transformer import Block, VisionTransformer

    if not isinstance(model, VisionTransformer | Eva | Beit):
        return False
    return all(isinstance(block, Block | EvaBlock | BeitBlock) for block in model.blocks)


def default_layer(depth: int) -> int:
    """The block at the paper's relative depth: layer 31 of 40 blocks, hence 8 of 12 (Li et al. 2024, Section III-C)."""
    return max(0, depth * 32 // 40 - 1)


class FacetPooling(nn.Module):
    """A transformer up to one block, and the pooling of the facet of this block and perhaps earlier ones.

    Args:
        model: a timm model that `is_plain`; it is cut in place.
        layers: blocks, from 0; negative from the end; None for the one at the paper's relative depth.
        facet: token, query, key or value.
        pooling: over the patches, or cls for the class token.
        gem_p: exponent of GeM.
        rings: see `cvgl.backbones.pooling.Head`.
        final_norm: whether tokens pass the model's last normalisation.

    Raises:
        ConfigError: no such block, rings of a class token, or normalisation of another facet than tokens.
        ModelError: the model has no class token, or projects in a way that is not known here.
    """

    def __init__(
        self,
        model: Any,
        layers: tuple[int, ...] | None,
        facet: Facet,
        pooling: Pooling,
        gem_p: float,
        rings: int = 1,
        final_norm: bool = False,
    ) -> None:
        super().__init__()
        depth = len(model.blocks)
        self.layers = (default_layer(depth),) if layers is None else resolve_layers(layers, depth, "block")
        if pooling is Pooling.CLS and getattr(model, "cls_token", None) is None:
            raise ModelError("the model has no class token to use", where="backbone.pooling", fix="use gem, mean or max")
        if pooling is Pooling.CLS and rings > 1:
            raise ConfigError("a class token has no rings", where="backbone.rings", fix="use gem, mean or max, or one ring")
        if final_norm and facet is not Facet.TOKEN:
            raise ConfigError(
                f"the model's last normalisation is of tokens, not of facet {facet}",
                where="backbone.final_norm",
                fix="leave it out, or add --no-final-norm to a preset that has it",
            )
        *earlier, last = self.layers
        model.blocks = model.blocks[: last + 1]
        self.final_norm, self.norm = final_norm, _last_normalisation(model) if final_norm else nn.Identity()
        model.norm = nn.Identity()
        self._taps = [Tap(model.blocks[index], facet) for index in earlier]
        for index, tap in zip(earlier, self._taps, strict=True):
            model.blocks[index] = tap
        if facet is not Facet.TOKEN:
            model.blocks[last] = FacetOfBlock(model.blocks[last], facet)
        self.model, self.facet = model, facet
        self.head = Head(tuple(range(len(self.layers))), rings, pooling, gem_p)
        self.prefix_tokens = int(model.num_prefix_tokens)

    def local(self, images: torch.Tensor) -> list[LocalFeatures]:
        """(B, 3, H, W) -> the tokens of each block; rows are of unit length, as in the paper's released code."""
        last: torch.Tensor = self.model.forward_features(images)
        height, width = self.model.patch_embed.dynamic_feat_size(images.shape[-2:])
        grid = (int(height), int(width))
        return [self._of_block(self.norm(rows).float(), grid) for rows in (*(tap.taken() for tap in self._taps), last)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, d) float32, not normalised."""
        return self.head(self.local(images))

    def _of_block(self, rows: torch.Tensor, grid: tuple[int, int]) -> LocalFeatures:
        whole = rows[:, 0] if self.head.pooling is Pooling.CLS else None
        return LocalFeatures(F.normalize(rows[:, self.prefix_tokens :], dim=-1), grid, whole)


def _last_normalisation(model: Any) -> nn.Module:
    """The normalisation before a model's head; models that average tokens have it behind the average."""
    candidates: tuple[nn.Module, nn.Module] = (model.norm, getattr(model, "fc_norm", nn.Identity()))
    return next((norm for norm in candidates if not isinstance(norm, nn.Identity)), candidates[0])


class Tap(nn.Module):
    """Replaces an intermediate block and stores its facet of the latest pass: (B, N, C)."""

    def __init__(self, block: Any, facet: Facet) -> None:
        super().__init__()
        self.block = block
        self.projection = None if facet is Facet.TOKEN else FacetOfBlock(block, facet)
        self._latest: torch.Tensor | None = None

    def forward(self, tokens: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        """The block's output, unchanged."""
        after: torch.Tensor = self.block(tokens, *arguments, **named)
        self._latest = after if self.projection is None else self.projection(tokens)
        return after

    def taken(self) -> torch.Tensor:
        """The facet of the latest pass, which is then released.

        Raises:
            RuntimeError: nothing has passed.
        """
        latest, self._latest = self._latest, None
        if latest is None:
            raise RuntimeError("nothing has passed through this block")
        return latest


class FacetOfBlock(nn.Module):
    """Replaces a block by its queries, keys or values, heads side by side: (B, N, C) -> (B, N, C).

    It is the projection itself, before any normalisation of queries and keys and before rotary positions,
    as a hook on the fused qkv layer gives it.
    """

    def __init__(self, block: Any, facet: Facet) -> None:
        super().__init__()
        self.norm = block.norm1
        weight, bias = _projection(block.attn, facet)
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, tokens: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """The facet of all tokens, class token included: (B, N, C) -> (B, N, C)."""
        return F.linear(self.norm(tokens), self.weight, self.bias)


def _projection(attention: Any, facet: Facet) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (C, C) and bias (C,) of one of the three projections of a timm attention layer."""
    position, letter = _PROJECTIONS[facet]
    fused, single = getattr(attention, "qkv", None), getattr(attention, f"{letter}_proj", None)
    if single is not None:
        return single.weight.detach(), None if single.bias is None else single.bias.detach()
    if fused is None:
        raise ModelError(
            f"'{type(attention).__name__}' has no known {facet} projection", where="backbone.facet", fix="use facet token"
        )
    size = fused.weight.shape[0] // 3
    part = slice(position * size, (position + 1) * size)
    # BEiT and EVA keep the biases beside a fused layer that has none.
    separate = getattr(attention, f"{letter}_bias", None)
    bias = separate if separate is not None else (fused.bias[part] if fused.bias is not None else None)
    return fused.weight[part].detach(), None if bias is None else bias.detach()
