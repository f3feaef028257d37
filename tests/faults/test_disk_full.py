"""A disk without room, under the database and under the payloads beside it: a small file system that is filled up.

Only root may mount one; elsewhere a limit on the size of files has writes fail in the same places.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.graphs import WIDTH, expected
from tests.faults.processes import Karman, Stage, stage, wait_until

MEGABYTES = 6
FULL_SECONDS, REFUSED = 4.0, 4
LARGE = 200_000
"""Bytes of an output that is kept in a file beside the database."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all room there is."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def slow_run(on: Stage, key: str) -> str:
    """A run whose nodes go on for two seconds."""
    store = {"folder": str(on.folder), "pause": 2}
    return on.acknowledged("sums", key, {"inputs": {"first": 1, "width": WIDTH}, "store": store})


def try_for(seconds: float, attempt: Callable[[int], int]) -> list[int]:
    """What was answered in so many seconds, or in as many more as it takes until some attempts were refused."""
    end = time.monotonic() + seconds
    answers: list[int] = []
    while time.monotonic() < end or answers.count(503) < REFUSED:
        answers.append(attempt(len(answers)))
        time.sleep(0.2)
    return answers


def request(on: Stage, number: int) -> tuple[str, dict[str, Any]]:
    store = {"folder": str(on.folder), "ballast": "x" * 20_000}
    return f"run-{number}", {"inputs": {"first": number, "width": WIDTH}, "store": store}


@pytest.mark.slow
def test_a_disk_that_is_full_loses_no_run(
    tmp_path: Path, small_disk: Path, figures: Callable[[str], None]
) -> None:
    """Triggers are refused, which the log explains; when there is room again, what was acknowledged goes on."""
    with stage(tmp_path, lease_seconds=1) as on:
        on.database = small_disk / "runs.db"
        server = on.server()
        begun = slow_run(on, "before")
        filler = fill(small_disk)
        began: dict[int, str] = {}

        def attempt(number: int) -> int:
            key, body = request(on, number)
            answer = on.api.post("/graphs/sums/runs", json=body, headers={"idempotency-key": key})
            if answer.status_code == 201:
                began[number] = answer.json()["run_id"]
            return answer.status_code

        answers = try_for(FULL_SECONDS, attempt)
        assert set(answers) <= {201, 503}
        assert on.api.get(f"/runs/{begun}").status_code == 200  # what is there can be read
        server.until_said(f"{on.database} cannot grow: the disk is full; free space and go on")
        copied = on.run("backup", str(small_disk / "copies" / "k.db"))
        assert copied.process.returncode == 70
        assert "k.db cannot be written; check the disk" in copied.said
        assert not [path for path in small_disk.rglob("*") if "k.db" in path.name]
        filler.unlink()

        assert on.ended(begun)["result"] == {"result": expected(1)}
        for number in range(len(answers)):
            run_id = on.acknowledged("sums", *request(on, number))
            assert run_id == began.get(number, run_id)
            run = on.ended(run_id)
            assert (run["status"], run["result"]) == ("SUCCEEDED", {"result": expected(number)}), run
        assert on.run("doctor", "--db", str(on.database)).process.returncode == 0
        assert server.process.poll() is None
    figures(
        f"{answers.count(503)} triggers refused, {len(began)} begun, all {len(answers) + 1} runs ended right"
    )


@pytest.mark.slow
def test_payloads_that_find_no_room_are_waited_for(
    tmp_path: Path, small_disk: Path, figures: Callable[[str], None]
) -> None:
    """For longer than a state may crash its worker: the run does not fail, and ends when there is room."""
    with stage(tmp_path, lease_seconds=1) as on:
        (on.folder / "runs.db.blobs").symlink_to(small_disk)
        server = on.server()
        first = on.trigger("large", "first", size=LARGE)
        assert on.ended(first)["result"] == {"result": LARGE}
        filler = fill(small_disk)
        second = on.trigger("large", "second", size=LARGE + 1)
        wait_until(lambda: server.said.count("No space left on device") > 9, "the disk did not fill up")
        assert on.api.get(f"/runs/{second}").json()["ended_ms"] is None
        small = slow_run(on, "small")
        assert on.ended(small)["status"] == "SUCCEEDED"  # who has no large payload is not held up
        filler.unlink()

        run = on.ended(second)
        assert (run["status"], run["result"]) == ("SUCCEEDED", {"result": LARGE + 1}), run
        assert on.ended(on.trigger("large", "first", size=LARGE))["run_id"] == first
        failed = server.said.count("No space left on device")
    figures(f"an output was refused {failed} times, and its run ended right")
    assert "check the disk, its space and your permissions" in server.said


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """As a full disk is elsewhere: nothing can be added. Without the limit everything goes on."""
    with stage(tmp_path, lease_seconds=1) as on:
        on.server().kill()
        on.before = LIMIT.format(400_000)
        limited = on.server()
        wait_until(lambda: refused(on, limited), "nothing was refused")
        limited.until_said(
            f"{on.database} cannot be read or written; check the disk and the space left on it"
        )
        limited.kill()
        on.before = ""
        on.server()

        runs = on.read("/runs", limit=1000)["runs"]
        assert runs
        for run in runs:
            assert on.ended(run["run_id"])["status"] == "SUCCEEDED"


def refused(on: Stage, server: Karman) -> bool:
    assert server.process.poll() is None, server.said[-2000:]
    store = {"folder": str(on.folder), "ballast": "x" * 50_000}
    body = {"inputs": {"first": 1, "width": WIDTH}, "store": store}
    return on.api.post("/graphs/sums/runs", json=body).status_code == 503
