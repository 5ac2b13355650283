"""A hook of MkDocs: the parts of the reference that are made from the code at each build.

A page names its part by a comment on a line of its own, ``<!-- generated: commands -->`` or ``<!-- generated: settings -->``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the generated parts into a page, as MkDocs asks for each page before it is rendered."""
    for name, generate in {"commands": commands, "settings": settings}.items():
        marker = f"<!-- generated: {name} -->"
        if marker in markdown:
            markdown = markdown.replace(marker, generate())
    return markdown


def commands() -> str:
    """Describe every command that is not hidden: its help, its arguments and its options, as Markdown."""
    from flows.cli.app import app

    return "\n\n".join(_command(name, command) for name, command in walk(typer.main.get_command(app), "cvgl"))


def settings() -> str:
    """List every setting of a run and of the watch by its dotted name, with its default and description, as Markdown."""
    from cvgl.config import ArrivalConfig, RunConfig

    fields = dict(_fields(RunConfig, ""))
    watch = {name: field for name, field in _fields(ArrivalConfig, "") if name not in fields}
    return "\n\n".join(
        ["## Settings of a run", _settings_table(fields), "## Further settings of the watch", _settings_table(watch)]
    )


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command that can be called, by its full name: ``cvgl doctor data``."""
    for below, subcommand in sorted(getattr(command, "commands", {}).items()):
        if not subcommand.hidden:
            yield from walk(subcommand, f"{name} {below}")
    if not getattr(command, "commands", {}) or getattr(command, "invoke_without_command", False):
        yield name, command


def _command(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {name}", f"```text\n{name} {usage}\n```", _text(command.help or "")]
    panels: dict[str, list[Any]] = {}
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or _kind(parameter), []).append(parameter)
    for panel, parameters in panels.items():
        rows = [f"| {_spelling(each)} | {_cell(getattr(each, 'help', '') or '')} | {_default(each)} |" for each in parameters]
        parts += [
            f"**{panel}**",
            "\n".join([f"| {_kind(parameters[0])[:-1].lower()} | meaning | default |", "|---|---|---|", *rows]),
        ]
    return "\n\n".join(part for part in parts if part)


def _kind(parameter: Any) -> str:
    return "Options" if parameter.param_type_name == "option" else "Arguments"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} `{parameter.metavar or _type_name(parameter)}`"


def _type_name(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(member.value) for member in annotation)
    return {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(annotation, "TEXT")


def _default(parameter: Any) -> str:
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return _cell(shown)
    if parameter.default is None or callable(parameter.default) or parameter.default in ((), [], ""):
        return "required" if parameter.required else ""
    return f"`{getattr(parameter.default, 'value', parameter.default)}`"


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _settings_table(fields: dict[str, FieldInfo]) -> str:
    rows = [f"| `{name}` | {_field_default(field)} | {_cell(field.description or '')} |" for name, field in fields.items()]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _field_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory_takes_validated_data:
        return "by the other settings"
    return f"`{json.dumps(field.get_default(call_default_factory=True), default=str)}`"


def _text(help_text: str) -> str:
    return inspect.cleandoc(help_text).replace("\b", "").replace("\f", "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
