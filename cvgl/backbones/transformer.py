"""Facets of a plain vision transformer: the token, query, key or value of every place, at any block.

The model is cut behind the block that is asked for. For query, key and value that block's attention is replaced by the one
projection of its input that is wanted, so neither the attention nor anything behind it is computed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.pooling import pool
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
    """A transformer up to one block, and the pooling of that block's facet.

    Args:
        model: a timm model that `is_plain`; it is cut in place.
        layer: block, from 0; negative from the end; None for the paper's relative depth.
        facet: token, query, key or value.
        pooling: over the patches, or cls for the class token.
        gem_p: exponent of GeM.

    Raises:
        ConfigError: no such block.
        ModelError: the model has no class token, or projects in a way that is not known here.
    """

    def __init__(self, model: Any, layer: int | None, facet: Facet, pooling: Pooling, gem_p: float) -> None:
        super().__init__()
        depth = len(model.blocks)
        index = default_layer(depth) if layer is None else layer + depth * (layer < 0)
        if not 0 <= index < depth:
            raise ConfigError(
                f"block {layer} does not exist: the model has blocks 0 to {depth - 1}", where="backbone.layer", fix="choose one"
            )
        if pooling is Pooling.CLS and getattr(model, "cls_token", None) is None:
            raise ModelError("the model has no class token to use", where="backbone.pooling", fix="use gem, mean or max")
        model.blocks = model.blocks[: index + 1]
        model.norm = nn.Identity()
        if facet is not Facet.TOKEN:
            model.blocks[index] = FacetOfBlock(model.blocks[index], facet)
        self.model = model
        self.layer, self.facet, self.pooling, self.gem_p = index, facet, pooling, gem_p
        self.prefix_tokens = int(model.num_prefix_tokens)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C) float32, not normalised; facet rows are, as in the paper's released code."""
        rows: torch.Tensor = self.model.forward_features(pictures).float()
        if self.pooling is Pooling.CLS:
            return rows[:, 0]
        return pool(F.normalize(rows[:, self.prefix_tokens :], dim=-1), self.pooling, self.gem_p)


class FacetOfBlock(nn.Module):
    """Stands in for a block and returns its queries, keys or values, heads side by side: (B, N, C) -> (B, N, C).

    What is returned is the projection itself, before any normalisation of queries and keys and before rotary positions,
    as a hook on the fused qkv layer gives it.
    """

    def __init__(self, block: Any, facet: Facet) -> None:
        super().__init__()
        self.norm = block.norm1
        weight, bias = _projection(block.attn, facet)
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, tokens: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
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
