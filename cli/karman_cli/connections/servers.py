"""Clients of servers as the command line makes them, and what their errors mean to somebody at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from karman import AsyncClient
from karman.client import Backoff
from karman.errors import Forbidden, Unauthorized, Unavailable, UnexpectedAnswer

TIMEOUT_SECONDS = 15.0
BACKOFF = Backoff(retries=2)
"""Somebody is waiting: a server that is down is told after a second."""


class Unreachable(Unavailable):
    """The server cannot be reached."""

    code = "unreachable"


class TimeIsOver(Unavailable):
    """The server did not answer in time; what it did is unknown."""

    code = "timeout"


def client_for(
    url: str | None = None,
    profile: str | None = None,
    namespace: str | None = None,
    *,
    api_key: str | None = None,
) -> AsyncClient:
    """A client; what is not given is taken from the environment, then from the profile.

    Raises:
        InvalidRequest, NotFound: as AsyncClient.
    """
    return AsyncClient(
        url,
        profile=profile,
        namespace=namespace,
        api_key=api_key,
        timeout_seconds=TIMEOUT_SECONDS,
        backoff=BACKOFF,
    )


@contextmanager
def explained(client: AsyncClient) -> Iterator[None]:
    """Errors of the connection within the block tell which server it was, and what to do."""
    url = client.url
    try:
        yield
    except Unauthorized as error:
        raise Unauthorized(
            f"{url} does not know the API key, or got none: `karman login {url}` saves one, "
            "KARMAN_API_KEY sets one."
        ) from error
    except Forbidden as error:
        raise Forbidden(f"{error.message} (Namespace '{client.namespace}' of {url}.)") from error
    except UnexpectedAnswer as error:
        raise UnexpectedAnswer(f"{url}: {error.message}") from error
    except Unavailable as error:
        cause = error.__cause__
        if isinstance(cause, httpx.TimeoutException):
            raise TimeIsOver(
                f"{url} did not answer in {TIMEOUT_SECONDS:g} s; look before you repeat it."
            ) from error
        if isinstance(cause, httpx.TransportError):
            raise Unreachable(f"{url} cannot be reached ({cause}); is the server running?") from error
        raise
