"""Secrets of a source, which are read where they are used, and nowhere stored: from the environment, or from the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cvgl.errors import ConfigError
from cvgl.masking import MASK, is_reference

ReadSecret = Callable[[str], str]
_WHERE = "watch.storage_options"
FIX = "give env:NAME (a variable where the work runs) or secret:NAME (one of Prefect's Secret blocks)"


def resolved(options: Mapping[str, Any], read_secret: ReadSecret | None = None) -> dict[str, Any]:
    """Options with the secrets that they refer to.

    Args:
        options: of a file system; a value ``env:NAME`` is a variable of the environment, ``secret:NAME`` or
            ``{"secret": "NAME"}`` a secret that is kept elsewhere.
        read_secret: reads the latter.

    Raises:
        ConfigError: a secret is not there, or only its mask has come here.
    """
    return {name: _resolved(name, value, read_secret) for name, value in options.items()}


def _resolved(name: str, value: Any, read_secret: ReadSecret | None) -> Any:
    if is_reference(value):
        return _read(name, value["secret"] if isinstance(value, Mapping) else value, isinstance(value, Mapping), read_secret)
    if isinstance(value, Mapping):
        return resolved(value, read_secret)
    if isinstance(value, list | tuple):
        return [_resolved(name, entry, read_secret) for entry in value]
    if value == MASK:
        raise ConfigError(f"the secret '{name}' was masked when the settings were stored", where=_WHERE, fix=FIX)
    return value


def _read(name: str, reference: str, is_block: bool, read_secret: ReadSecret | None) -> str:
    kind, _, wanted = ("secret", "", reference) if is_block else reference.partition(":")
    if kind == "env":
        if wanted not in os.environ:
            raise ConfigError(
                f"the variable {wanted}, named for '{name}', is not set", where=_WHERE, fix=f"export {wanted}=..."
            )
        return os.environ[wanted]
    if read_secret is None:
        raise ConfigError(f"'{name}' is kept by Prefect, which this process does not use", where=_WHERE, fix="give env:NAME")
    return read_secret(wanted)
