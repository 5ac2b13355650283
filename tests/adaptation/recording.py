"""Recorded calls, and parts of an adaptation that a test expects to exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cvgl.adaptation import Adaptation
from cvgl.adaptation.correction import Banks
from cvgl.adaptation.record import BankRows, SelfCheck

Result = TypeVar("Result")
Call = tuple[tuple[Any, ...], dict[str, Any]]


def recording(function: Callable[..., Result], calls: list[Call]) -> Callable[..., Result]:
    """The function, which appends the arguments of every call to a list."""

    def call(*arguments: Any, **named: Any) -> Result:
        calls.append((arguments, named))
        return function(*arguments, **named)

    return call


def self_check(adaptation: Adaptation) -> SelfCheck:
    """The self-check of an adaptation that has one."""
    assert adaptation.record.check is not None
    return adaptation.record.check


def banks_of(adaptation: Adaptation) -> Banks:
    """The banks of an adaptation that has them."""
    assert adaptation.banks is not None
    return adaptation.banks


def bank_rows(adaptation: Adaptation) -> BankRows:
    """The recorded sizes of the banks of an adaptation that has them."""
    assert adaptation.record.banks is not None
    return adaptation.record.banks
