"""Colour in CIE L*a*b*, where equal distances look about equally different (CIE 15:2004; sRGB of IEC 61966-2-1, D65)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cvgl.types import Float32Array

_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_RGB_TO_RATIOS = (_RGB_TO_XYZ / _WHITE[:, None]).astype(np.float32)
_EDGE = 6 / 29  # below, the cube root is replaced by its tangent
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def luminance(rgb: Float32Array) -> Float32Array:
    """(B, 3, H, W) in [0, 1] -> (B, H, W) in [0, 1]."""
    light: Float32Array = np.einsum("c,bchw->bhw", _LUMA, rgb)
    return light


def to_lab(rgb: Float32Array) -> Float32Array:
    """Converts sRGB (B, 3, H, W) in [0, 1] to L* in [0, 100], and a* and b* in about [-110, 110]."""
    linear = np.where(rgb <= 0.04045, rgb / np.float32(12.92), ((rgb + np.float32(0.055)) / np.float32(1.055)) ** 2.4)
    pixels = linear.reshape(len(rgb), 3, -1).astype(np.float32)
    ratios = _RGB_TO_RATIOS @ pixels
    tangent = ratios / np.float32(3 * _EDGE**2) + np.float32(4 / 29)
    x, y, z = np.moveaxis(np.where(ratios > _EDGE**3, np.cbrt(np.maximum(ratios, 0)), tangent), 1, 0)
    lab: Float32Array = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1).reshape(rgb.shape)
    return lab
