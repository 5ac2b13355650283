"""Whether the Prefect server that runs are reported to answers, and what to do where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cvgl.errors import CvglError
from cvgl.masking import masked

SECONDS_TO_ANSWER = 10.0
_FIX = "start it (`cvgl ui`, or `prefect server start`), mend PREFECT_API_URL, or unset it: a temporary server does then"
_REFUSED = {
    401: "it refuses us: PREFECT_API_AUTH_STRING or PREFECT_API_KEY is missing or wrong",
    403: "it refuses us: PREFECT_API_AUTH_STRING or PREFECT_API_KEY is missing or wrong",
    404: "there is no Prefect API at this address; it ends in /api",
}


class EngineError(CvglError):
    """The Prefect server cannot be reached, or what answers there is none."""


def check_api(url: str) -> None:
    """Makes sure that a Prefect server answers.

    Args:
        url: of its API, the value of PREFECT_API_URL.

    Raises:
        EngineError: nobody answers, or somebody else.
    """
    import httpx
    from prefect.client.base import ServerType
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    patience = {"timeout": httpx.Timeout(SECONDS_TO_ANSWER, connect=SECONDS_TO_ANSWER / 2)}
    once = {PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}
    try:
        with temporary_settings(updates=once), get_client(httpx_settings=patience, sync_client=True) as client:
            # The hosted service has no version of its own to tell.
            version = "" if client.server_type == ServerType.CLOUD else client.api_version()
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError, OSError) as error:
        raise _told(error, url) from None  # what is raised below may show the address with its password
    if not isinstance(version, str):
        raise EngineError("what answers is no Prefect server", where=masked(url), fix=_FIX)


def current_api() -> str:
    """The address that this process reports to."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value() or "")


@contextmanager
def engine_errors(url: str) -> Iterator[None]:
    """Turns what the engine's client raises within the block, where its server is away, into an error for people.

    Args:
        url: of its API.

    Raises:
        EngineError: the server has ended, or refuses.
    """
    try:
        yield
    except Exception as error:
        if not _is_engines(error, url):
            raise
        raise _told(error, url) from None


def _is_engines(error: BaseException, url: str) -> bool:
    """Whether an error is about the engine's own requests; other libraries send theirs by the same client."""
    import httpx

    if isinstance(error, RuntimeError):
        return str(error).startswith("Failed to reach API at")
    if not isinstance(error, httpx.HTTPError):
        return False
    try:
        return str(error.request.url).startswith(url.rstrip("/"))
    except RuntimeError:  # it was raised before there was a request
        return False


def _told(error: BaseException, url: str) -> EngineError:
    import httpx

    cause: Any = error
    while isinstance(cause, RuntimeError) and cause.__cause__ is not None:
        cause = cause.__cause__
    reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    if isinstance(cause, httpx.HTTPStatusError):
        status = cause.response.status_code
        reason = _REFUSED.get(status, f"it answers with status {status}")
    elif isinstance(cause, httpx.TimeoutException):
        reason = f"it does not answer within {SECONDS_TO_ANSWER:g} s"
    elif isinstance(cause, ValueError):
        reason = "what answers is no Prefect server"
    return EngineError(f"the Prefect server cannot be used: {masked(reason)}", where=masked(url), fix=_FIX)
