"""Fingerprint of a feature set: a hash of everything that changes a descriptor."""

from __future__ import annotations

from collections.abc import Mapping

from cvgl.config import AlignmentConfig
from cvgl.features.alignment import IMPLEMENTATION
from cvgl.features.alignment import identity as identity_of_alignment
from cvgl.hashing import digest_json


def fingerprint(
    identity: Mapping[str, str | int | float], alignment: AlignmentConfig | None = None, half_storage: bool = False
) -> str:
    """Names the descriptors of one model under one set of settings.

    Settings that change no more than rounding (batch size, threads, device, path of a checkpoint) are left out, so work can
    continue on another machine.

    Args:
        identity: `Embedder.identity`.
        alignment: crops, rotations and warps; default: none.
        half_storage: whether float16 is stored.
    """
    aligned = identity_of_alignment(alignment or AlignmentConfig())
    storage = "float16" if half_storage else "float32"
    return digest_json(
        {"model": dict(identity), "alignment": {**aligned, "implementation": IMPLEMENTATION}, "storage": storage}
    )
