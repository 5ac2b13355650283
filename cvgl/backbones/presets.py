"""Names of frozen models, and suggestions for unknown ones.

The presets themselves are settings and stand in `cvgl.config.presets`, where `BackboneConfig` fills itself from them.
"""

from __future__ import annotations

import difflib
from types import ModuleType

from cvgl.backbones.released import RELEASED
from cvgl.config import PRESETS
from cvgl.errors import ModelError

_SHOWN = 3


def check_name(timm: ModuleType, name: str) -> None:
    """Checks that a model of this name exists.

    Args:
        timm: the module.
        name: of a timm model with or without the tag of its weights, or one on the hub ('hf-hub:owner/model').

    Raises:
        ModelError: no such model, or no such weights of it; close presets and models are named.
    """
    if ":" in name:  # resolved by timm itself
        return
    architecture, _, tag = name.partition(".")
    if timm.is_model(architecture):
        _check_tag(timm, architecture, tag)
        return
    close = close_names(name, timm.list_models())
    hint = f"did you mean {', '.join(close)}? " if close else ""
    raise ModelError(
        f"there is no preset and no model of timm {timm.__version__} called '{name}'",
        where="--backbone",
        fix=f"{hint}`cvgl backbones` lists the presets, `python -c 'import timm; print(timm.list_models())'` timm's models; "
        "'gist' needs no weights",
    )


def close_names(name: str, models: list[str]) -> list[str]:
    """Presets and released models with a similar name, then timm's."""
    lowered, own_names = name.lower().replace("_", "-"), [*PRESETS, *RELEASED]
    matches = difflib.get_close_matches(lowered, own_names, n=_SHOWN)
    if not matches:  # a part of a name, such as 'clip'
        matches = sorted((own_name for own_name in own_names if lowered in own_name), key=len)[:_SHOWN]
    return matches + difflib.get_close_matches(name.lower().split(".")[0], models, n=_SHOWN)


def _check_tag(timm: ModuleType, architecture: str, tag: str) -> None:
    tags = [pretrained.partition(".")[2] for pretrained in timm.list_pretrained(f"{architecture}.*")]
    if not tag or tag in tags:
        return
    raise ModelError(
        f"timm {timm.__version__} knows no weights '{tag}' of '{architecture}'",
        where="--backbone",
        fix=f"use one of {', '.join(tags)}" if tags else f"leave '.{tag}' out and give weights with --checkpoint",
    )
