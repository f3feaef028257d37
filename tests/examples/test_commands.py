"""The commands of the examples' pages, in processes of their own, on copies of the folders as users make them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.api_harvest.server import Settings, serving

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KARMAN = str(Path(sys.executable).with_name("karman"))
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("KARMAN_")}
SECONDS = 120


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the examples in it under other names, and nothing else of the repository."""
    for name in ("document_digest", "agent_loop", "api_harvest"):
        shutil.copytree(
            EXAMPLES / name, tmp_path / f"my_{name}", ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def karman(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KARMAN, *arguments],
        cwd=here,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def begin(here: Path) -> Iterator[Begin]:
    """Starts `karman` beside the test."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        with (here / "stdout.txt").open("w") as stdout, (here / "stderr.txt").open("w") as stderr:
            process = subprocess.Popen(
                [KARMAN, *arguments],
                cwd=here,
                env=ENVIRONMENT | variables,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def test_the_digest_runs_from_wherever_it_was_copied_to(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.md").write_text("# Cats\n\nCats sleep.\n")

    done = karman(
        here, "run", "my_document_digest/digest.py", "--input", "folder=docs", "--input", "out=build/digest"
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["html"] == str(here / "build" / "digest" / "report.html")
    assert (result["documents"], result["words"]) == (1, 3)


def test_with_nothing_to_digest_the_command_fails_and_says_so(here: Path) -> None:
    (here / "docs").mkdir()

    done = karman(here, "run", "my_document_digest/digest.py", "--input", "folder=docs")

    assert done.returncode == 1
    assert "nothing to digest: no file in" in done.stderr


def test_the_agent_waits_for_the_approval_that_another_command_sends(here: Path, begin: Begin) -> None:
    running = begin(
        "run",
        "my_agent_loop/agent.py",
        "--db",
        "agent.db",
        "--input",
        "task=calculate 17 * 23 and write a note",
    )
    asks = re.compile(r"karman signal (\S+) approval")
    wait_until(lambda: bool(asks.search((here / "stderr.txt").read_text())))
    said = (here / "stderr.txt").read_text()
    assert "approval needed" in said
    assert not (here / "notes").exists()

    run_id = asks.findall(said)[0]
    sent = karman(here, "signal", run_id, "approval", "--payload", '{"approved": true}', "--db", "agent.db")
    assert sent.returncode == 0, sent.stderr

    assert running.wait(SECONDS) == 0
    assert json.loads((here / "stdout.txt").read_text())["tools"] == ["calculate", "write_note"]
    (note,) = (here / "notes").iterdir()
    assert "17 * 23 = 391" in note.read_text()


ANSWERED = 2
"""Pages of the index, before the harvest is killed."""


@pytest.mark.slow
def test_a_harvest_that_was_killed_goes_on_from_its_cursor(here: Path, begin: Begin) -> None:
    client = here / "my_api_harvest" / "client.py"
    text = client.read_text(encoding="utf-8")
    assert "TIMEOUT_SECONDS = 2.0\n" in text  # else a slow machine would be asked twice
    client.write_text(text.replace("TIMEOUT_SECONDS = 2.0\n", "TIMEOUT_SECONDS = 90.0\n"), encoding="utf-8")
    killed = threading.Event()
    with serving(Settings(throttled=0, failing=0, slow=0, quiet=True)) as api:
        fault = api.fault

        def waits_for_the_kill(request: str) -> str | None:
            found = fault(request)
            if sum(api.asked.values()) > ANSWERED:
                killed.wait(SECONDS)
            return found

        api.fault = waits_for_the_kill  # type: ignore[method-assign]
        options = ["--input", f"base_url={api.url}", "--input", "out=records.jsonl", "--db", "harvest.db"]
        running = begin("run", "my_api_harvest/harvest.py", *options, KARMAN_LEASE_SECONDS="2")
        wait_until(lambda: sum(api.asked.values()) > ANSWERED)
        running.send_signal(signal.SIGKILL)
        running.wait()
        killed.set()
        (run,) = json.loads(karman(here, "runs", "--db", "harvest.db", "--json").stdout)["runs"]

        done = karman(here, "run", "--resume", run["run_id"], "--db", "harvest.db")

        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sha256"] == api.checksum
        assert api.asked["/index"] == 1
        assert len((here / "records.jsonl").read_text(encoding="utf-8").splitlines()) == api.settings.records
