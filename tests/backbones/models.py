"""Tiny models that timm knows by name, so that tests need no downloads and little time."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.layers import SwiGLUPacked
from timm.models import register_model
from timm.models.beit import Beit
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer, _create_vision_transformer

SMALL = {"embed_dim": 24, "depth": 5, "num_heads": 2, "patch_size": 8}


@register_model  # type: ignore[untyped-decorator]
def vit_of_tests(pretrained: bool = False, **arguments: Any) -> VisionTransformer:
    return _create_vision_transformer("vit_tiny_patch16_224", pretrained=pretrained, **{"img_size": 32, **SMALL, **arguments})


@register_model  # type: ignore[untyped-decorator]
def dinov2_nano_of_tests(pretrained: bool = False, **arguments: Any) -> VisionTransformer:
    """The architecture of the golden values: DINOv2 with SwiGLU and LayerScale, made small."""
    shape = {"patch_size": 14, "embed_dim": 64, "depth": 4, "num_heads": 2, "mlp_ratio": 5.5, "init_values": 1.0}
    layers = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU, "img_size": 518}
    return _create_vision_transformer("vit_small_patch14_dinov2", pretrained=pretrained, **{**shape, **layers, **arguments})


@register_model  # type: ignore[untyped-decorator]
def vit_with_registers_of_tests(pretrained: bool = False, **arguments: Any) -> VisionTransformer:
    """As DINOv2 with registers: positions for the patches only."""
    registers = {"img_size": 32, "reg_tokens": 4, "no_embed_class": True, "init_values": 1.0}
    return _create_vision_transformer("vit_tiny_patch16_224", pretrained=pretrained, **{**SMALL, **registers, **arguments})


@register_model  # type: ignore[untyped-decorator]
def dinov3_of_tests(pretrained: bool = False, **arguments: Any) -> Eva:
    """As DINOv3: rotary positions, four registers, no learned positions."""
    return timm.create_model("vit_small_patch16_dinov3", pretrained=pretrained, **{**SMALL, **arguments})


@register_model  # type: ignore[untyped-decorator]
def eva02_of_tests(pretrained: bool = False, **arguments: Any) -> Eva:
    """Learned and rotary positions, separate projections."""
    return timm.create_model("eva02_tiny_patch14_224", pretrained=pretrained, **{"img_size": 32, **SMALL, **arguments})


@register_model  # type: ignore[untyped-decorator]
def beit_of_tests(pretrained: bool = False, **arguments: Any) -> Beit:
    """Positions relative to each other."""
    return timm.create_model("beit_base_patch16_224", pretrained=pretrained, **{"img_size": 32, **SMALL, **arguments})


def eva(fused: bool, seed: int = 0) -> Eva:
    torch.manual_seed(seed)
    return Eva(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, qkv_fused=fused, use_rot_pos_emb=True).eval()


def random_weights(name: str, seed: int = 0, **arguments: Any) -> dict[str, torch.Tensor]:
    """A state_dict with nothing at zero, so that every weight matters."""
    torch.manual_seed(seed)
    model = timm.create_model(name, num_classes=0, **arguments)
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator) * 0.05 if tensor.is_floating_point() else 0
        state[key] = (tensor + noise).abs() + 0.5 if "running_var" in key else tensor + noise
    return state
