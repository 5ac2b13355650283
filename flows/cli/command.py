"""What every command does alike: options from settings, --json, exit codes, errors without tracebacks."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from cvgl.errors import CvglError, GateRefusal, LakeError, UsageError
from flows.cli.console import Screen, Verbatim, print_answer, print_json
from flows.cli.options import CONFIG_HELP, SET_HELP, Draft, parameters
from flows.cli.renamed import CurrentNames, note
from flows.cli.settings import EVERYDAY, Setting

DONE, FAILED, USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130

# Rights, a full or failing disk, limits of the process: nothing that a traceback would explain.
_NOT_OUR_DEFECT = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)
_CHECK_SYSTEM = "check the rights, the disk or the limits of the process; the same command goes on where it stopped"

Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line of stdout.")]
Assignments = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SET_HELP, show_default=False)]
Config = Annotated[Path | None, typer.Option("--config", help=CONFIG_HELP, dir_okay=False)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say.

    Attributes:
        value: for programs (--json).
        shown: for people.
        exit_code: 0, or 3 when a gate refused and there is something to say besides.
    """

    value: Any
    shown: RenderableType | Verbatim
    exit_code: int = DONE


Body = Callable[..., Answer]


def command(
    app: typer.Typer, *groups: tuple[Setting, ...], example: str = "", everyday: bool = False, former: str | None = None
) -> Callable[[Body], Body]:
    """Registers a function as a command.

    Args:
        app: where.
        groups: the settings that become options; the function gets them as its first argument, a `Draft`.
        example: a command line that the help ends with.
        everyday: whether its help shows the everyday options alone; the others work, and say what they are by `--set`.
        former: an earlier name of the command, which still works.

    The function's other parameters are options of its own. It returns an `Answer`, which is printed here; what it raises
    becomes an exit code: 1 for a `CvglError`, 2 for a `UsageError`, 3 for a `GateRefusal`, 130 for Ctrl-C. Any other
    exception is a defect of ours and keeps its traceback.
    """
    settings = tuple(setting for group in groups for setting in group)

    def register(body: Body) -> Body:
        def run(**arguments: Any) -> None:
            as_json = arguments.pop("as_json")
            config, assignments = arguments.pop("config", None), arguments.pop("assignments", None) or ()
            values = [(setting, arguments.pop(setting.parameter)) for setting in settings]
            if everyday:
                _say_how_to_set(values)
            draft = Draft.of(values, config, assignments=assignments, as_json=as_json)
            raise typer.Exit(_answer(lambda: body(draft, **arguments), as_json))

        run.__doc__ = body.__doc__
        run.__signature__ = _signature(body, settings, everyday=everyday)  # type: ignore[attr-defined] # read by inspect.signature
        run.__annotations__ = {}
        epilog = f"Example: {example}" if example else None
        app.command(body.__name__, cls=CurrentNames, epilog=epilog)(run)
        if former is not None:
            app.command(former, cls=_formerly(former, body.__name__), epilog=epilog, hidden=True)(run)
        return body

    return register


def _formerly(former: str, name: str) -> type[CurrentNames]:
    class Former(CurrentNames):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            note(f"`cvgl {former}` is called `cvgl {name}` now")
            return super().parse_args(ctx, args)

    return Former


def _say_how_to_set(values: list[tuple[Setting, Any]]) -> None:
    for setting, value in values:
        if value is not None and setting.flag not in EVERYDAY and not setting.is_argument:
            several = value if isinstance(value, list) else [value]
            text = ",".join(str(getattr(entry, "value", entry)) for entry in several)
            note(f"{setting.flag} still works here; its lasting form is --set {setting.path}={text}")


def _signature(body: Body, settings: tuple[Setting, ...], *, everyday: bool) -> inspect.Signature:
    own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    common = [inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)]
    if len(settings) > 1:
        common.append(inspect.Parameter("assignments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Assignments))
        common.append(inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config))
    return inspect.Signature([*keyword, *parameters(settings, everyday=everyday), *common])


def _answer(body: Callable[[], Answer], as_json: bool) -> int:
    """Runs a command's body, prints its answer or its error, and gives the exit code."""
    try:
        answer = body()
    except CvglError as error:
        Screen().error(error)
        if as_json:
            print_json({"error": {"kind": error.kind, "what": error.what, "where": error.where, "fix": error.fix}})
        return REFUSED if isinstance(error, GateRefusal) else USAGE if isinstance(error, UsageError) else FAILED
    except OSError as error:
        if error.errno not in _NOT_OUR_DEFECT:
            raise
        path, reason = error.filename or "", error.strerror or str(error)
        refused = LakeError(f"the system refused: {reason}", where=path, fix=_CHECK_SYSTEM)
        Screen().error(refused)
        if as_json:
            print_json({"error": {"kind": refused.kind, "what": refused.what, "where": refused.where, "fix": refused.fix}})
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    if as_json:
        print_json(answer.value)
    else:
        print_answer(answer.shown)
    return answer.exit_code
