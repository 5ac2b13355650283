"""Command-line options made from the settings: a flag says which field it fills, and nothing else.

The field's type, bounds, default and description come from `cvgl.config`, so a default lives in one place and a command
never has thirty parameters of its own: it names groups of settings, and gets a `Draft` of the ones that were given.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cvgl.config import ArrivalConfig, RunConfig
from cvgl.lake import Lake
from flows.cli.fields import assignment, field_of, leaves, read_values
from flows.cli.settings import EVERYDAY, GROUPS, Setting

Model = TypeVar("Model", bound=BaseModel)


_PANELS = {
    "ingest": "Images",
    "align": "Alignment of the views",
    "extract": "Frozen model",
    "cluster": "Past one machine",
    "adapt": "Adaptation",
    "select": "Choice of the recipe 'auto'",
    "evaluate": "Evaluation",
    "registry": "Registry",
    "watch": "What arrives",
    "decide": "What to do about it",
}
CONFIG_HELP = "TOML, YAML or JSON file with settings (a RunConfig, or a part of one); options go before it"
SET_HELP = "Set any field by its name, e.g. adapt.em_weight=0.5; repeatable. `cvgl settings` lists them"


class Draft:
    """The settings given so far, as nested values; turned into models, and so checked, when a command asks for them."""

    def __init__(self, values: Mapping[str, Any], *, as_json: bool = False) -> None:
        """Takes nested values, and whether the answer is for a program (--json)."""
        self._values, self.as_json = dict(values), as_json

    @classmethod
    def of(
        cls,
        option_values: Iterable[tuple[Setting, Any]],
        config: Path | None,
        *,
        assignments: Iterable[str] = (),
        as_json: bool = False,
    ) -> Draft:
        """Values from a file, overridden by `--set`, overridden by options; an option that is None was not given.

        Raises:
            typer.BadParameter: the file cannot be read, or an assignment names no field.
        """
        values: dict[str, Any] = read_values(config) if config is not None else {}
        for path, value in map(assignment, assignments):
            _put(values, path.split("."), value)
        for setting, value in option_values:
            if value is not None:
                _put(values, setting.path.split("."), value)
        return cls(values, as_json=as_json)

    def run(self) -> RunConfig:
        """All settings of a run.

        Raises:
            typer.BadParameter: a value is out of bounds, or one is missing.
        """
        return _validated(RunConfig, self._values, "")

    def arrival(self) -> ArrivalConfig:
        """All settings of a watched source.

        Raises:
            typer.BadParameter: a value is out of bounds, or one is missing.
        """
        return _validated(ArrivalConfig, self._values, "")

    def section(self, name: str, model: type[Model]) -> Model:
        """The settings of one stage, e.g. ``section("adapt", AdaptConfig)``."""
        return _validated(model, self._values.get(name, {}), f"{name}.")

    def with_default(self, path: str, value: Any) -> Draft:
        """A draft in which a field has this value unless it was given."""
        values: dict[str, Any] = {}
        _put(values, path.split("."), value)
        return Draft(_merged(values, self._values), as_json=self.as_json)

    @property
    def lake(self) -> Lake:
        """The lake that the options name."""
        return Lake.at(self._values.get("lake") or RunConfig.model_fields["lake"].default)

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        name = self._values.get("ingest", {}).get("dataset")
        if not name:
            raise typer.BadParameter("say which dataset, for example --dataset campus", param_hint="--dataset")
        return str(name)

    @property
    def source(self) -> str | None:
        """Source that the options name; None if they name none."""
        source = self._values.get("ingest", {}).get("source")
        return None if source is None else str(source)


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {name: _merged(base[name], over[name]) for name in base.keys() & over.keys() if isinstance(base[name], dict)}
    return {**base, **over, **both}


def _validated(model: type[Model], values: Mapping[str, Any], prefix: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # A default that follows from a field in error is no problem of its own.
        relevant = [problem for problem in error.errors(include_url=False) if problem["type"] != "default_factory_not_called"]
        problems = [_problem(prefix, problem["loc"], problem["msg"]) for problem in relevant]
        raise typer.BadParameter("; ".join(problems), param_hint="settings") from error


def _problem(prefix: str, location: tuple[int | str, ...], message: str) -> str:
    path = (prefix + ".".join(str(part) for part in location)).rstrip(".")
    flags = {setting.path: setting.flag for group in GROUPS for setting in group}
    return f"{flags.get(path, path)}: {message}"


def parameters(settings: Iterable[Setting], *, everyday: bool = False) -> Iterator[inspect.Parameter]:
    """The settings as parameters that Typer turns into options and arguments; with `everyday`, the others are hidden."""
    for setting in settings:
        field = field_of(setting.path)
        kind = option_type(field.annotation)
        information = (
            typer.Argument(help=field.description, show_default=False)
            if setting.is_argument
            else typer.Option(
                *(f"{setting.flag}/--no-{setting.flag[2:]}",) if kind is bool else (setting.flag,),
                help=_help(field),
                envvar=setting.environment,
                show_default=False,
                hidden=everyday and setting.flag not in EVERYDAY,
                rich_help_panel=_PANELS.get(setting.path.split(".")[0]),
                **_older_words(kind),
            )
        )
        default = inspect.Parameter.empty if setting.is_argument else None
        annotation = Annotated[kind if setting.is_argument else kind | None, information]  # type: ignore[valid-type] # at run time
        yield inspect.Parameter(setting.parameter, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _older_words(kind: Any) -> dict[str, Any]:
    """How Typer reads a choice that is known by older words, too: by the choice itself, where it would know today's alone."""
    if not (isinstance(kind, type) and issubclass(kind, Enum) and "_missing_" in vars(kind)):
        return {}
    return {"parser": kind, "metavar": f"[{'|'.join(str(choice.value) for choice in kind)}]"}


def as_options(settings: Iterable[Setting], values: Mapping[str, Any]) -> list[str]:
    """Nested values as they would be given on the command line, e.g. ``["--query-crop", "0.7"]``; what is none is left out."""
    options: list[str] = []
    for setting in settings:
        value: Any = values
        for name in setting.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            options.append(setting.flag if value else f"--no-{setting.flag[2:]}")
        elif value is not None:
            several = value if isinstance(value, list | tuple) else [value]
            options += [part for entry in several for part in (setting.flag, str(entry))]
    return options


def described(prefix: str = "") -> list[dict[str, Any]]:
    """Every field of the settings below a prefix, in words: name, type, default, option, meaning.

    Raises:
        typer.BadParameter: no name begins so.
    """
    flags = {setting.path: setting.flag for group in GROUPS for setting in group}
    rows = [
        {
            "name": name,
            "type": type_name(field.annotation),
            "default": default_text(field),
            "option": flags.get(name, ""),
            "meaning": field.description or "",
        }
        for name, field in leaves()
        if name.startswith(prefix)
    ]
    if not rows:
        field_of(prefix)
    return rows


def type_name(annotation: Any) -> str:
    """A field's type in a word or two: number, whole number, text, one of several words, several of them."""
    kind = option_type(annotation)
    if typing.get_origin(kind) is list:
        return f"several: {type_name(typing.get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(str(choice.value) for choice in kind)
    return {int: "whole number", float: "number", bool: "true | false", str: "text", Path: "path"}.get(kind, "text")


def default_text(field: FieldInfo) -> str:
    """A field's default as it would be written; empty where one has to be given or follows from other fields."""
    if field.is_required() or field.default_factory is not None:
        return ""
    default = field.default
    if isinstance(default, tuple):
        return ",".join(str(getattr(entry, "value", entry)) for entry in default)
    return "none" if default is None else str(getattr(default, "value", default))


def option_type(annotation: Any) -> Any:
    """The type of the value on the command line: ``int | None`` is an int, a tuple is an option that may be repeated."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return option_type(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return option_type(next(argument for argument in arguments if argument is not type(None)))
    if origin is typing.Literal:
        return type(arguments[0])
    if origin is tuple:
        return list[option_type(arguments[0])]  # type: ignore[misc] # at run time
    return annotation


def _help(field: FieldInfo) -> str:
    """The field's description with its default, which the option itself does not have: None means "not given"."""
    description, default = field.description or "", field.default
    if field.is_required() or default is None or "default:" in description:
        return description
    if field.default_factory is not None:
        return f"{description} (default: the recipe's)"
    if isinstance(default, tuple):
        default_text = ", ".join(map(str, default))
    else:
        default_text = str(default.value if isinstance(default, Enum) else default)
    return f"{description} (default: {default_text})".lstrip()
