"""Requests of webhooks over HTTP, for both backends: to public addresses, checked and then connected to as such.

A URL comes from whoever may administer a namespace; without care it would be a way into the network that Karman runs
in. So for each request the name is resolved here, every address of it is checked, and the connection goes to a checked
address: what the name leads to a moment later does not count (DNS rebinding). TLS and the `Host` header go by the name.

The transport of httpx is used by itself: it knows no redirects, cookies, proxies or variables of the environment, and
writes no URL to a log. Of an answer the status and `Retry-After` are read; its body is not.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING, Final

from karman_core.domain.addresses import LOOPBACK, is_loopback, refusal
from karman_core.domain.errors import InvalidRequest, Problem
from karman_core.domain.webhooks import Answer, Target, parse_url

if TYPE_CHECKING:
    import httpx

SECONDS: Final = 15.0
"""For a whole request; the standard recommends 15 to 30."""

_RESOLVE_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 3
"""That are tried, one after the other, while none takes the connection."""

_LONGEST_RETRY_AFTER: Final = 9
"""Digits."""

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host and port. Raises OSError."""


class HttpxPoster:
    """Sends the requests of webhooks; see the module."""

    def __init__(
        self,
        *,
        loopback: bool = False,
        resolver: Resolver | None = None,
        certificates: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Make it.

        Args:
            loopback: this machine may be reached too, and over plain HTTP: for development on one machine.
            resolver: instead of the system's.
            certificates: whom TLS trusts, instead of the public authorities.
            seconds: for one request.
        """
        self._loopback = loopback
        self._resolver = resolver or resolve
        self._certificates = certificates
        self._seconds = seconds

    async def check(self, url: str) -> None:
        """Raise InvalidRequest for a URL that no request would be sent to."""
        await self._addresses(parse_url(url))

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request; whatever goes wrong is an answer."""
        import httpx  # noqa: PLC0415  whoever sends nothing, as most processes, need not load it

        try:
            async with asyncio.timeout(self._seconds):
                target = parse_url(url)
                return await self._post(target, await self._addresses(target), headers, body)
        except TimeoutError:
            return Answer(error=f"The receiver did not answer within {self._seconds:g} seconds.")
        except InvalidRequest as error:
            return Answer(error=error.message)
        except (httpx.TransportError, httpx.InvalidURL, OSError) as error:
            return Answer(error=_reason(error))

    async def _post(
        self, target: Target, addresses: Sequence[str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        import httpx  # noqa: PLC0415  (same)

        failed: Exception | None = None
        for address in islice(_alternating(addresses), _MOST_ADDRESSES):
            try:
                return await self._post_to(address, target, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed or OSError

    async def _post_to(self, address: str, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        import httpx  # noqa: PLC0415  (same)

        numeric = f"[{address}]" if ":" in address else address
        request = httpx.Request(
            "POST",
            f"{target.scheme}://{numeric}:{target.port}{target.path}",
            headers={
                "host": target.authority,
                "user-agent": "Karman-Webhooks",
                "content-type": "application/json",
                "accept-encoding": "identity",
                "connection": "close",
                **headers,
            },
            content=body,
            extensions={
                "sni_hostname": target.host,
                "timeout": httpx.Timeout(self._seconds, connect=_CONNECT_SECONDS).as_dict(),
            },
        )
        async with httpx.AsyncHTTPTransport(verify=self._context(), trust_env=False) as transport:
            response = await transport.handle_async_request(request)
            try:
                return Answer(response.status_code, retry_after_seconds=_retry_after(response))
            finally:
                await response.aclose()

    def _context(self) -> ssl.SSLContext:
        if self._certificates is None:
            import httpx  # noqa: PLC0415  (same)

            self._certificates = httpx.create_ssl_context(trust_env=False)
        return self._certificates

    async def _addresses(self, target: Target) -> Sequence[str]:
        """All addresses of the host, each of which may be reached."""
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await self._resolver(target.host, target.port)
        except (OSError, UnicodeError):  # a time-out is an OSError too
            found = ()
        if not found:
            raise _unusable("unresolved_host", f"The host '{target.host}' does not resolve to an address.")
        refused = next(filter(None, (refusal(each, loopback=self._loopback) for each in found)), None)
        if refused is not None:
            hint = " For development, KARMAN_WEBHOOK_LOOPBACK=true lets it." if refused == LOOPBACK else ""
            raise _unusable(
                "refused_address",
                f"The host '{target.host}' leads to an address that webhooks must not reach: it is {refused}.{hint}",
            )
        if target.scheme != "https" and not all(map(is_loopback, found)):
            raise _unusable("insecure_url", "A webhook's URL begins with https://.")
        return found


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system's resolver. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _alternating(addresses: Sequence[str]) -> Iterator[str]:
    """The same in turns of IPv6 and IPv4, the first as it was: one of the two may lead nowhere from here."""
    kind = ":" in addresses[0]
    first = [address for address in addresses if (":" in address) == kind]
    second = [address for address in addresses if (":" in address) != kind]
    turns = chain.from_iterable(zip_longest(first, second))
    return (address for address in turns if address is not None)


def _retry_after(response: httpx.Response) -> int | None:
    """The header, where it says seconds; a date is passed over."""
    value = response.headers.get("retry-after", "")
    short = len(value) <= _LONGEST_RETRY_AFTER and value.isascii() and value.isdigit()
    return int(value) if short else None


def _reason(error: BaseException) -> str:
    """Why there was no answer, in words of Karman's: what libraries say names addresses."""
    causes = list(_causes(error))
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return "The receiver's certificate is not valid for its name, or of no public authority."
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "The receiver does not speak TLS as it should."
    if type(error).__name__ in {"ConnectError", "ConnectTimeout"}:
        return "The receiver takes no connection."
    return f"The connection broke before the receiver had answered ({type(error).__name__})."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unusable(code: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, [Problem("url", code, message)])
