"""Arguments, environment, profiles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from karman import AsyncClient, Client
from karman.client import ApiKeyAuth
from karman.errors import InvalidRequest, NotFound
from karman.profiles import Profile, Profiles, load_profiles, profiles_path, save_profiles

LOCAL = Profile(url="http://127.0.0.1:8700", api_key="local-key", namespace="mine")
CLOUD = Profile(url="https://karman.example.com", auth="iam", region="eu-central-1")


def headers_of(url: str | None = None, **arguments: Any) -> httpx.Headers:
    """What a client so made sends."""
    found: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        found.append(request.headers)
        return httpx.Response(200, json={"nodes": [], "cursor": None})

    list(Client(url, transport=httpx.MockTransport(answer), **arguments).nodes())
    return found[0]


def key_of(url: str | None = None, **arguments: Any) -> str | None:
    key: str | None = headers_of(url, **arguments).get("x-api-key")
    return key


def test_profiles_are_written_and_read() -> None:
    assert load_profiles() == Profiles()
    odd = Profile(url="http://h", api_key='a"b\\c\x7f')
    profiles = Profiles().with_profile("local", LOCAL).with_profile("cloud", CLOUD, default=False)
    profiles = profiles.with_profile("odd", odd, default=False)
    path = save_profiles(profiles)
    assert path == profiles_path()
    assert load_profiles() == profiles
    assert profiles.default == "local"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["profiles.toml"]
    assert save_profiles(profiles.without("local")) == path
    assert load_profiles().get() is None
    with pytest.raises(NotFound, match="cloud, odd"):
        load_profiles().get("local")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[profiles.x]\nurl = 'ftp://h'\n",
        "[profiles.x]\nurl = 'http://h'\nsecrets = 's3cret'\n",
        "a = 1",
    ],
)
def test_a_file_that_is_none(text: str) -> None:
    path = profiles_path()
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequest) as caught:
        Client("http://h")
    assert "s3cret" not in str(caught.value)


def test_nothing_is_known() -> None:
    with pytest.raises(InvalidRequest, match="karman login"):
        Client()


def test_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profiles(Profiles().with_profile("local", LOCAL).with_profile("cloud", CLOUD, default=False))
    client = Client()
    assert (client.url, client.namespace, key_of()) == (LOCAL.url, "mine", "local-key")
    monkeypatch.setenv("KARMAN_NAMESPACE", "from_env")
    monkeypatch.setenv("KARMAN_API_KEY", "env-key")
    assert (Client().namespace, key_of()) == ("from_env", "env-key")
    assert (Client(namespace="given").namespace, key_of(api_key="given")) == ("given", "given")
    named = Client(profile="local")
    assert (named.namespace, key_of(profile="local")) == ("mine", "local-key")
    monkeypatch.setenv("KARMAN_PROFILE", "cloud")
    assert Client().url == CLOUD.url
    monkeypatch.setenv("KARMAN_URL", "http://elsewhere/base/")
    assert Client().url == "http://elsewhere/base"
    monkeypatch.setenv("KARMAN_NAMESPACE", "")
    assert Client().namespace == "default"
    with pytest.raises(NotFound):
        Client(profile="other")


def test_a_profiles_key_goes_to_its_own_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profiles(Profiles().with_profile("local", LOCAL))
    assert key_of("http://elsewhere") is None
    assert key_of("http://elsewhere", profile="local") is None
    assert key_of(f"{LOCAL.url}/") == "local-key"
    monkeypatch.setenv("KARMAN_URL", "http://elsewhere")
    assert key_of() is None


def test_iam_by_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    save_profiles(Profiles().with_profile("cloud", CLOUD))
    headers = headers_of()
    assert "/eu-central-1/execute-api/aws4_request" in headers["authorization"]
    assert "x-api-key" not in headers
    assert headers_of(api_key="given")["x-api-key"] == "given"


@pytest.mark.parametrize(
    "url", ["h", "ftp://h", "http://", "http://u:s3cret@h", "http://h?x=1", "http://h:x"]
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Client(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "new\nline", "schlüssel"])
def test_keys_that_are_none_are_not_shown(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Client("http://h", api_key=key)
    assert key not in str(caught.value)
    with pytest.raises(InvalidRequest):
        Client("http://h", namespace="a/b")


def test_no_repr_shows_a_key() -> None:
    profiles = Profiles().with_profile("local", LOCAL)
    client = Client("http://h", api_key="s3cret", namespace="ns")
    assert repr(client) == "Client('http://h', namespace='ns')"
    assert repr(AsyncClient("http://h")) == "AsyncClient('http://h', namespace='default')"
    shown = repr([vars(client), ApiKeyAuth("s3cret"), profiles, LOCAL])
    assert "s3cret" not in shown
    assert "local-key" not in shown


def test_importing_karman_brings_no_http_and_reads_no_environment() -> None:
    program = (
        "import os, sys; os.environ.clear(); import karman; "
        "assert not {'httpx', 'boto3', 'karman_core.engine'} & set(sys.modules); "
        "karman.Client; assert 'httpx' in sys.modules; assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path.cwd())
