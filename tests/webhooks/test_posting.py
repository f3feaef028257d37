"""Requests of webhooks: where they do not go, however it is spelled, and that the checked address is the one taken."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from karman_core.backends import posting
from karman_core.backends.posting import HttpxPoster
from karman_core.domain.errors import InvalidRequest
from tests.leaping import leap
from tests.webhooks.receiver import receiving

HOST = "hooks.example.com"


@pytest.fixture(autouse=True)
def _a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes no time here may take a while."""
    monkeypatch.setattr(posting, "_RESOLVE_SECONDS", 90.0)
    monkeypatch.setattr(posting, "_CONNECT_SECONDS", 90.0)


def leading_to(*answers: Sequence[str] | str) -> tuple[HttpxPoster, list[str]]:
    """A poster whose resolver gives one answer after the other, the last one for ever; and what it was asked."""
    asked: list[str] = []
    left = [[each] if isinstance(each, str) else list(each) for each in answers]

    async def resolver(host: str, port: int) -> Sequence[str]:
        del port
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    return HttpxPoster(resolver=resolver), asked


async def refused(poster: HttpxPoster, url: str) -> str:
    """The code that both ways in refuse it with."""
    with pytest.raises(InvalidRequest) as caught:
        await poster.check(url)
    answer = await poster.post(url, {}, b"{}")
    assert answer.status is None
    assert answer.error == caught.value.message
    (problem,) = caught.value.problems
    return problem.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0",
        "0.0.0.0",
        "localhost",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_addresses_in_any_spelling_as_the_system_reads_them(scheme: str, host: str) -> None:
    assert await refused(HttpxPoster(), f"{scheme}://{host}/latest/meta-data/") == "refused_address"


@pytest.mark.parametrize(
    "address", ["10.0.0.5", "169.254.169.254", "::ffff:10.0.0.5", "fe80::1%eth0", "fd00::1", "no address"]
)
async def test_a_public_name_that_leads_inside(address: str) -> None:
    poster, asked = leading_to(address)
    assert await refused(poster, f"https://{HOST}/") == "refused_address"
    assert set(asked) == {HOST}


async def test_one_address_inside_is_one_too_many() -> None:
    poster, _ = leading_to(["2600:1f18::1", "93.184.216.34", "10.0.0.5"])
    assert await refused(poster, f"https://{HOST}/") == "refused_address"


async def test_a_refusal_does_not_tell_the_address() -> None:
    poster, _ = leading_to("10.20.30.40")
    assert "10.20.30.40" not in str((await poster.post(f"https://{HOST}/", {}, b"")).error)


async def test_a_public_receiver_is_reached_by_tls_alone() -> None:
    poster, _ = leading_to("93.184.216.34")
    await poster.check(f"https://{HOST}/")
    assert await refused(poster, f"http://{HOST}/") == "insecure_url"


async def test_names_that_lead_nowhere() -> None:
    async def fails(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    assert await refused(HttpxPoster(resolver=fails), f"https://{HOST}/") == "unresolved_host"
    poster, _ = leading_to([])
    assert await refused(poster, f"https://{HOST}/") == "unresolved_host"


async def test_a_name_is_looked_up_anew_for_each_request() -> None:
    """Rebinding: public when it was checked, inside when it is used."""
    poster, asked = leading_to("93.184.216.34", "127.0.0.1")
    with receiving() as receiver:
        url = f"https://{HOST}:{receiver.port}/"
        await poster.check(url)
        answer = await poster.post(url, {}, b"{}")
    assert answer.status is None
    assert "loopback" in str(answer.error)
    assert (asked, receiver.received) == ([HOST, HOST], [])


# --- requests that are sent: this machine let in ----------------------------------------------------------------------


async def test_a_request_as_it_arrives() -> None:
    with receiving(204) as receiver:
        answer = await HttpxPoster(loopback=True).post(f"{receiver.url}?a=b", {"webhook-id": "x"}, b'{"a":1}')

    assert (answer.status, answer.error) == (204, None)
    (request,) = receiver.received
    assert (request.path, request.body, request.id) == ("/hook?a=b", b'{"a":1}', "x")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert "cookie" not in request.headers


async def test_a_redirect_is_not_followed() -> None:
    with receiving() as inner, receiving() as receiver:
        receiver.answers = [f"HTTP/1.1 307 T\r\nlocation: {inner.url}\r\ncontent-length: 0\r\n\r\n".encode()]
        answer = await HttpxPoster(loopback=True).post(receiver.url, {}, b"{}")

    assert (answer.status, answer.delivered, inner.received) == (307, False, [])


async def test_the_environments_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await HttpxPoster(loopback=True).post(receiver.url, {}, b"{}")

    assert (answer.status, proxy.received) == (200, [])


async def test_a_body_without_an_end_is_not_read() -> None:
    with receiving(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 100_000) as receiver:
        assert (await HttpxPoster(loopback=True).post(receiver.url, {}, b"{}")).delivered


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000,
    ],
)
async def test_answers_that_are_none(answer: bytes) -> None:
    with receiving(answer) as receiver:
        told = await HttpxPoster(loopback=True).post(receiver.url, {}, b"{}")
    assert told.status is None
    assert "The connection broke" in str(told.error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("0", 0), ("-1", None), ("9999999999", None), ("Fri, 31 Dec 1999 23:59:59 GMT", None)],
)
async def test_retry_after(header: str, seconds: int | None) -> None:
    with receiving(503) as receiver:
        receiver.retry_after = header
        answer = await HttpxPoster(loopback=True).post(receiver.url, {}, b"{}")
    assert (answer.status, answer.retry_after_seconds) == (503, seconds)


async def test_a_receiver_that_takes_too_long() -> None:
    with receiving() as receiver:
        receiver.held = threading.Event()
        post = asyncio.create_task(HttpxPoster(loopback=True, seconds=500).post(receiver.url, {}, b"{}"))
        async with asyncio.timeout(90):
            while not receiver.received:  # noqa: ASYNC110  its thread tells nobody
                await asyncio.sleep(0.01)
        leap(1_000)
        answer = await asyncio.wait_for(post, 90)
    assert answer.error == "The receiver did not answer within 500 seconds."


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1", "127.0.0.1"], [*["::1"] * 3, "127.0.0.1"]])
async def test_an_address_that_takes_no_connection_is_followed_by_one_of_the_other_kind(
    addresses: list[str],
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return addresses

    with receiving() as receiver:  # on IPv4 alone
        url = f"http://{HOST}:{receiver.port}/"
        answer = await HttpxPoster(loopback=True, resolver=resolver).post(url, {}, b"{}")
    assert answer.delivered, answer


async def test_nobody_there() -> None:
    with receiving() as receiver:
        url = receiver.url
    answer = await HttpxPoster(loopback=True, seconds=90).post(url, {}, b"{}")
    assert answer.error == "The receiver takes no connection."


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of HOST, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("10.9.9.9"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


async def test_the_name_counts_for_tls_and_the_checked_address_for_the_connection(certificate: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    names: list[str | None] = []
    server.sni_callback = lambda _, name, __: names.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    def poster(context: ssl.SSLContext | None) -> HttpxPoster:
        return HttpxPoster(loopback=True, resolver=resolver, certificates=context)

    with receiving(certificates=server) as receiver:
        url = f"https://{HOST}:{receiver.port}/hook"
        answer = await poster(trusting).post(url, {}, b"{}")
        other = await poster(trusting).post(url.replace(HOST, "other.example.com"), {}, b"{}")
        untrusted = await poster(None).post(url, {}, b"{}")

    assert answer.delivered, answer
    assert names[:2] == [HOST, "other.example.com"]
    (request,) = receiver.received
    assert request.headers["host"] == f"{HOST}:{receiver.port}"
    for failed in (other, untrusted):
        assert "certificate is not valid" in str(failed.error)
