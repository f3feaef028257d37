"""The client and the example's own server, without the orchestrator between them."""

import hashlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.error import HTTPError

import pytest

from examples.api_harvest import client
from examples.api_harvest.client import Refused, Throttled, get_json, seconds_to_wait
from examples.api_harvest.harvest import Record, as_lines
from examples.api_harvest.server import FAULTS_IN_A_ROW, Api, Settings, serving

ROOT = Path(__file__).resolve().parents[2]
CALM = Settings(records=60, throttled=0, failing=0, slow=0, quiet=True)


@pytest.fixture
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 90)
    with serving(getattr(request, "param", CALM)) as server:
        yield server


def test_the_index_leads_through_all_pages(api: Api) -> None:
    ids, cursor = [], ""
    while True:
        page = get_json(f"{api.url}/index{cursor}")
        ids += page["ids"]
        if page["next"] is None:
            break
        cursor = f"?cursor={page['next']}"

    assert ids == list(range(1, 61))
    assert page["total"] == 60


def test_the_checksum_is_that_of_the_lines(api: Api) -> None:
    ids = ",".join(str(number) for number in range(1, 61))
    records = [
        Record.model_validate(record) for record in get_json(f"{api.url}/records?ids={ids}")["records"]
    ]

    assert hashlib.sha256(as_lines(records).encode()).hexdigest() == api.checksum


def test_the_same_seed_makes_the_same_trouble() -> None:
    def trouble(seed: int) -> list[str | None]:
        with serving(Settings(seed=seed, quiet=True)) as server:
            return [server.fault(f"/records?ids={n}") for n in range(20) for _ in range(FAULTS_IN_A_ROW + 1)]

    assert trouble(1) == trouble(1)
    assert trouble(1) != trouble(2)
    assert set(trouble(1)) == {None, "throttled", "failing", "slow"}
    assert set(trouble(1)[FAULTS_IN_A_ROW :: FAULTS_IN_A_ROW + 1]) == {None}  # it gives in at last


@pytest.mark.parametrize("api", [Settings(throttled=1, retry_after_seconds=7, quiet=True)], indirect=True)
def test_throttling_says_how_long(api: Api) -> None:
    with pytest.raises(Throttled) as caught:
        get_json(f"{api.url}/index")

    assert caught.value.seconds == 7


@pytest.mark.parametrize("api", [Settings(throttled=0, failing=1, quiet=True)], indirect=True)
def test_failures_are_worth_another_attempt(api: Api) -> None:
    for _ in range(FAULTS_IN_A_ROW):
        with pytest.raises(HTTPError, match="500"):
            get_json(f"{api.url}/index")

    assert get_json(f"{api.url}/index")["total"] == 200


@pytest.mark.parametrize(
    "api", [Settings(throttled=0, failing=0, slow=1, slow_seconds=90, quiet=True)], indirect=True
)
def test_slow_answers_are_not_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.1)

    with pytest.raises(TimeoutError):
        get_json(f"{api.url}/index")


@pytest.mark.parametrize("path", ["/index?cursor=x", "/records?ids=0", "/records", "/other"])
def test_wrong_requests_are_refused_for_good(api: Api, path: str) -> None:
    with pytest.raises(Refused, match=r"40[04]"):
        get_json(f"{api.url}{path}")


def test_only_http_is_asked(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")

    with pytest.raises(Refused, match="no address"):
        get_json(secret.as_uri())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3), (" 3 ", 3), ("0", 0.1), ("999999", 300), (None, 1), ("soon", 1), ("-5", 1), ("", 1)],
)
def test_retry_after_in_seconds(header: str | None, seconds: float) -> None:
    assert seconds_to_wait(header) == seconds


def test_retry_after_as_a_date() -> None:
    now = datetime.now(UTC)

    seconds = seconds_to_wait(format_datetime(now + timedelta(seconds=60), usegmt=True))
    passed = (datetime.now(UTC) - now).total_seconds()
    assert 59 - passed < seconds <= 60  # dates have no parts of seconds
    assert seconds_to_wait(format_datetime(now - timedelta(seconds=60), usegmt=True)) == 0.1


def server_for(seconds: str) -> subprocess.Popen[str]:
    words = ("--port", "0", "--seconds", seconds, "--records", "5")
    command = [sys.executable, "examples/api_harvest/server.py", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_the_server_runs_by_itself() -> None:
    with server_for("300") as server:
        try:
            assert server.stdout is not None
            url, *rest = server.stdout.readline().split()
            with pytest.raises(HTTPError) as caught:
                urllib.request.urlopen(f"{url}/other", timeout=90)
            caught.value.close()
        finally:
            server.kill()

    assert rest == ["has", "5", "records", "and", "ends", "in", "300", "s"]


def test_the_server_ends_by_itself() -> None:
    with server_for("0.1") as server:
        said, _ = server.communicate(timeout=90)

    assert said.split()[1:] == ["has", "5", "records", "and", "ends", "in", "0.1", "s"]
    assert server.returncode == 0
