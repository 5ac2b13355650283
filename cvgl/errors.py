"""Errors that say what is wrong, where, and what to do next.

Every error that a user can cause derives from `CvglError`, so one `except CvglError` at the command line is enough, and
nothing else is ever caught there: any other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import ClassVar

from cvgl.masking import masked


class CvglError(Exception):
    """Base of all errors that a user can mend.

    Args:
        what: one sentence on what is wrong, with the offending value.
        where: the file, field, table or address that it concerns.
        fix: what to do next, as an instruction.
    """

    _kind: ClassVar[str] = ""

    def __init__(self, what: str, *, where: object = "", fix: str = "") -> None:
        # An address in a message must not give its password away, wherever the message is shown, logged or stored.
        self.what = masked(what)
        self.where = masked(str(where))
        self.fix = masked(fix)
        super().__init__(str(self))

    @property
    def kind(self) -> str:
        """The name that programs get (`--json`): a part of the contract, which a finer class of ours does not change."""
        return self._kind or type(self).__name__

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process boundaries (Prefect, multiprocessing); keyword-only fields need help to survive pickling.
        return (_rebuild, (type(self), self.what, self.where, self.fix))

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  to do: {self.fix}")
        return "\n".join(lines)


def _rebuild(kind: type[CvglError], what: str, where: str, fix: str) -> CvglError:
    return kind(what, where=where, fix=fix)


class ConfigError(CvglError):
    """A setting has no meaning or contradicts another."""


class UsageError(ConfigError):
    """An argument can mean nothing at all, such as a name that is a path (exit code 2)."""

    _kind = "ConfigError"


class DataError(CvglError):
    """A source of images, positions or labels cannot be used as it is."""


class LakeError(CvglError):
    """Something in the lake is missing, damaged or of another version."""


class DamagedError(LakeError):
    """The content of a file of the lake is not what was written: its checksum or its format says so."""

    _kind = "LakeError"


class UnreadableError(LakeError):
    """A file of the lake cannot be read or written now: rights, or the disk. What is in it may be sound."""

    _kind = "LakeError"


class NewerFormatError(LakeError):
    """A file of the lake is of a newer version of cvgl."""

    _kind = "LakeError"


class ModelError(CvglError):
    """A backbone, checkpoint or adapter cannot be loaded or does not fit its input."""


class RegistryError(CvglError):
    """The model registry cannot be reached or holds something that contradicts the lake."""


class MissingDependencyError(CvglError):
    """A package that only this part of cvgl needs is not installed."""


class GateRefusal(CvglError):
    """A gate looked at the evidence and said no; nothing is broken (exit code 3)."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Imports `module`, or says which extra brings it.

    Args:
        module: dotted module name, e.g. ``"duckdb"``.
        extra: the extra of this distribution that installs it, e.g. ``"pipeline"``.
        purpose: what it is needed for, completing "... is needed to".

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingDependencyError(
            f"the package '{module}' is needed to {purpose} and is not installed",
            fix=f"pip install 'cvgl[{extra}]'; in a checkout: pip install -e '.[{extra}]'",
        ) from error
