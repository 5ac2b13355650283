"""Trying again where a registry does not answer, for a bounded time, with growing pauses between attempts.

MLflow can try again by itself, but it repeats whatever it has sent: a reply that was lost on its way back would leave a
second run or version behind. So its own retries are off, and calls go through `Patience`, in two ways: reading, and
writing the same values once more, is repeated call by call (`PatientClient`); what creates something is repeated together
with the look for what is there already, which is what its callers do.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from cvgl.errors import RegistryError

logger = logging.getLogger("cvgl.registry")

R = TypeVar("R")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds; each pause is twice the one before
_CREATES = "create_"
# HTTP: too slow a request, too many of them, and whatever is wrong on the server's side.
_PASSING_STATUS = frozenset({408, 429, *range(500, 600)})
# Files that are fetched side by side fail with one message, in which the reasons are only text.
_PASSING_TEXT = re.compile(
    r"Max retries exceeded with url|Connection (aborted|refused|broken)|Read timed out|IncompleteRead|\b5\d\d Server Error"
)


class RegistryUnreachableError(RegistryError):
    """The registry did not answer for as long as the settings say to wait."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a registry that does not answer is asked again.

    Attributes:
        seconds: from the first failure of a call; 0 asks once.
        where: the registry's address, for what is said.
    """

    seconds: float = 0.0
    where: str = ""

    def __call__(self, call: Callable[[], R], request: str) -> R:
        """Gives what the call gives, which is made again after errors that can pass.

        Args:
            call: may be made any number of times.
            request: a name for the call, for people.

        Raises:
            RegistryUnreachableError: it went on failing for longer than `seconds`.
            Exception: whatever else the call raises.
        """
        pause, failed, since = FIRST_PAUSE, 0, 0.0
        while True:
            try:
                answer = call()
            except Exception as error:
                if not can_pass(error):
                    raise
                failed += 1
                since = time.monotonic() if failed == 1 else since
                left = since + self.seconds - time.monotonic()
                if left <= 0:
                    raise self._given_up(request, failed, error) from error
                if failed == 1:
                    logger.warning(
                        "the registry at %s fails (%s: %s); trying again for %.0f s",
                        self.where,
                        request,
                        reason(error),
                        self.seconds,
                    )
                time.sleep(min(pause, left))
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if failed:
                logger.warning(
                    "the registry at %s answers again after %.1f s; going on (%s)",
                    self.where,
                    time.monotonic() - since,
                    request,
                )
            return answer

    def _given_up(self, request: str, failed: int, error: Exception) -> RegistryUnreachableError:
        tried = f"{failed} attempts in {self.seconds:g} s" if failed > 1 else "one attempt"
        return RegistryUnreachableError(
            f"the model registry cannot be reached: {reason(error)} ({request}, {tried})",
            where=self.where,
            fix="start its server, or mend registry.tracking_uri, and do the same again: what was computed is in the lake, "
            "and registering goes on where it stopped; registry.patience_s says how long is waited",
        )


class PatientClient:
    """An `mlflow.MlflowClient` whose calls are repeated with patience, except for those that create something."""

    def __init__(self, client: Any, patience: Patience) -> None:
        self._client = client
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name.startswith(_CREATES) or not callable(attribute):
            return attribute

        @functools.wraps(attribute)
        def patient(*arguments: Any, **named: Any) -> Any:
            return self._patience(lambda: attribute(*arguments, **named), name)

        return patient


def can_pass(error: BaseException) -> bool:
    """Whether an error may be gone on the next attempt: nobody listens, no reply in time, an error of the server's side.

    A refusal (no rights, no such run, a wrong value), a certificate that is not trusted and an address that is none stay.
    """
    import requests
    from mlflow.exceptions import MlflowException

    lasting = (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    passing = (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.RetryError,
        requests.exceptions.ChunkedEncodingError,
        ConnectionError,
        TimeoutError,
    )
    for cause in _chain(error):
        if isinstance(cause, (RegistryError, *lasting)):
            return False
        if isinstance(cause, passing):
            return True
        if isinstance(cause, requests.exceptions.HTTPError) and cause.response is not None:
            return cause.response.status_code in _PASSING_STATUS
        if isinstance(cause, MlflowException) and _mlflow_can_pass(cause):
            return True
    return False


def _mlflow_can_pass(error: Any) -> bool:
    from mlflow.exceptions import RestException

    if isinstance(error, RestException):
        return error.get_http_status_code() in _PASSING_STATUS
    # A database that is locked, or whose server has gone; see above for the text.
    return error.error_code == "TEMPORARILY_UNAVAILABLE" or bool(_PASSING_TEXT.search(str(error)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it; MLflow does not always say so with `from`."""
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def reason(error: BaseException) -> str:
    """An error in a few words: the innermost cause, without the addresses of objects."""
    innermost = list(_chain(error))[-1]
    lines = (str(innermost) or str(error)).strip().splitlines() or [type(innermost).__name__]
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>:?\s*", "", lines[0])[:300]
