"""Requests signed with AWS credentials (SigV4), for a server behind IAM authorization."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import TypeAlias

import httpx

from karman.errors import InvalidRequest

Signer: TypeAlias = Callable[[str, str, bytes], Mapping[str, str]]
"""Gives the headers that sign a request of this method, URL and body."""


class SigV4Auth(httpx.Auth):
    """Signs each request with the credentials that the AWS SDK finds, renewed by it when they end.

    Args:
        region: None for that of the AWS configuration.
        service: what signs for: `execute-api` is API Gateway, `lambda` a function URL.
        profile: of the AWS configuration.

    It needs botocore, which `karman[worker]` brings along; it is imported with the first request.
    """

    requires_request_body = True

    def __init__(
        self, *, region: str | None = None, service: str = "execute-api", profile: str | None = None
    ) -> None:
        self._region = region
        self._service = service
        self._profile = profile
        self._signer: Signer | None = None

    def __repr__(self) -> str:
        return f"SigV4Auth(region={self._region!r}, service={self._service!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign."""
        request.read()
        self._sign(request)
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign, beside the event loop: credentials may have to be fetched."""
        await request.aread()
        await asyncio.to_thread(self._sign, request)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        if self._signer is None:
            self._signer = self._make()
        request.headers.update(self._signer(request.method, str(request.url), request.content))

    def _make(self) -> Signer:
        try:
            from karman_core.backends.aws.signing import signer  # noqa: PLC0415  botocore is no base dependency
        except ImportError as error:
            raise InvalidRequest(
                "To sign requests, install karman[worker], which brings botocore."
            ) from error
        return signer(region=self._region, service=self._service, profile=self._profile)
