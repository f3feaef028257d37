"""Signatures, calculated again by hand from what was sent.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote

import httpx
import pytest

from karman import AsyncClient, Client
from karman.client import SigV4Auth
from karman.errors import InvalidRequest, Unauthorized

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\d{8}/eu-central-1/execute-api/aws4_request), "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check(request: httpx.Request) -> None:
    """The signature is the one that AWS would calculate."""
    found = AUTHORIZATION.fullmatch(request.headers["authorization"])
    assert found is not None
    scope, signed, signature = found.groups()
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(signed.split(";"))
    query = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in parse_qsl(request.url.query.decode()))
    canonical = "\n".join(
        [
            request.method,
            quote(request.url.raw_path.decode().split("?")[0], safe="/~"),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{request.headers[name].strip()}" for name in signed.split(";")),
            "",
            signed,
            digest(request.content),
        ]
    )
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest(canonical.encode())]
    )
    key = f"AWS4{SECRET}".encode()
    for part in [*scope.split("/"), to_sign]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert key.hex() == signature


def answer(request: httpx.Request) -> httpx.Response:
    check(request)
    if request.method == "GET":
        return httpx.Response(200, json={"runs": [], "cursor": None})
    return httpx.Response(201, json={"run_id": "r1", "created": True})


def auth() -> SigV4Auth:
    return SigV4Auth(region="eu-central-1")


def test_requests_are_signed() -> None:
    with Client("https://api.example.com/st", auth=auth(), transport=httpx.MockTransport(answer)) as karman:
        assert karman.trigger("g", {"text": "größer ✓"}).run_id == "r1"
        assert karman.runs_page(graph="g", cursor="a+b/c==~ x").items == ()
        assert karman.runs_page().items == ()


async def test_requests_are_signed_beside_the_loop() -> None:
    transport = httpx.MockTransport(answer)
    async with AsyncClient("https://api.example.com:8443", auth=auth(), transport=transport) as karman:
        assert (await karman.trigger("g", {"x": 1})).created
        assert [run async for run in karman.runs(graph="g")] == []


def test_neither_region_nor_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = httpx.MockTransport(answer)
    with pytest.raises(InvalidRequest, match="region"):
        Client("https://h", auth=SigV4Auth(), transport=transport).trigger("g")
    with pytest.raises(InvalidRequest, match="configuration"):
        Client("https://h", auth=SigV4Auth(profile="none"), transport=transport).trigger("g")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Unauthorized):
        Client("https://h", auth=auth(), transport=transport).trigger("g")


def test_credentials_are_in_no_repr() -> None:
    signing = auth()
    with Client("https://h", auth=signing, transport=httpx.MockTransport(answer)) as karman:
        karman.trigger("g")
    assert SECRET not in repr([signing, vars(signing), vars(karman)])
