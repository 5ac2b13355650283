"""The fields of the settings by their dotted names: found, listed, read from files and from `--set NAME=VALUE`."""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cvgl.config import ArrivalConfig

ROOT: type[BaseModel] = ArrivalConfig  # a RunConfig, and what belongs to a watched source


def field_of(path: str) -> FieldInfo:
    """The field of that dotted name, e.g. ``"adapt.em_weight"``.

    Raises:
        typer.BadParameter: there is none; the message names those that are written alike.
    """
    model: type[BaseModel] | None = ROOT
    for name in path.split("."):
        if model is None or name not in model.model_fields:
            raise typer.BadParameter(_unknown(path), param_hint="--set")
        field: FieldInfo = model.model_fields[name]
        model = section_of(field)
    return field


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The settings that a field holds, if it is a section and no single value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def leaves(model: type[BaseModel] = ROOT, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field that holds a value and no section, with its dotted name, in the order of the settings."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is None:
            yield f"{prefix}{name}", field
        else:
            yield from leaves(section, f"{prefix}{name}.")


def assignment(text: str) -> tuple[str, Any]:
    """A dotted name and its value from ``NAME=VALUE``; lists are written with commas or as JSON, nothing as ``none``.

    Numbers and words are left as text, which the field's type turns into its value, so both are checked as an option is.

    Raises:
        typer.BadParameter: there is no ``=``, or no field of that name, or the name is that of a section.
    """
    path, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"'{text}' has no '='; write NAME=VALUE, e.g. adapt.em_weight=0.5", param_hint="--set")
    field = field_of(path)
    if section_of(field) is not None:
        raise typer.BadParameter(f"'{path}' is a section; `cvgl settings {path}` lists its fields", param_hint="--set")
    return path, _value(value, field.annotation)


def _value(text: str, annotation: Any) -> Any:
    if text.lower() in ("none", "null") and type(None) in _kinds(annotation):
        return None
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise typer.BadParameter(f"'{text}' is no JSON: {error}", param_hint="--set") from error
    for kind in _kinds(annotation):
        if typing.get_origin(kind) in (tuple, list):
            return [_value(part.strip(), typing.get_args(kind)[0]) for part in text.split(",") if part.strip()]
        if typing.get_origin(kind) is typing.Literal:  # which takes no number that is written as a word
            return next((choice for choice in typing.get_args(kind) if str(choice) == text), text)
    return text


def _kinds(annotation: Any) -> tuple[Any, ...]:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(annotation) for kind in _kinds(part))
    return (annotation,)


def read_values(path: Path) -> dict[str, Any]:
    """Nested settings from a TOML, YAML or JSON file, told by its ending; JSON where there is no other.

    Raises:
        typer.BadParameter: it cannot be read, or holds no table of settings.
    """
    kind = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML"}.get(path.suffix.lower(), "JSON")
    try:
        values = _parsed(path.read_text(encoding="utf-8"), kind)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read as {kind}: {error}", param_hint="--config") from error
    if not isinstance(values, dict):
        raise typer.BadParameter(f"{path} holds no {'JSON object' if kind == 'JSON' else 'settings'}", param_hint="--config")
    return values


def _parsed(text: str, kind: str) -> Any:
    if kind == "TOML":
        return tomllib.loads(text)
    if kind == "JSON":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _unknown(path: str) -> str:
    names = [name for name, _ in leaves()]
    last = path.rpartition(".")[2]
    near = difflib.get_close_matches(path, names, 3) or [name for name in names if last and name.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(last, [name.rpartition(".")[2] for name in names], 1)
    return f"there is no setting '{path}'" + (f"; near: {', '.join(near)}" if near else "; `cvgl settings` lists all")
