"""A run that waits for people: signalled, paused, cancelled from another terminal."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.command_line import APPROVAL, finish, karman, start, wait_for_line, write


@contextmanager
def waiting_run() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A run that waits, and the command with which it says to be signalled."""
    write("approval.py", APPROVAL)
    process = start("run", "approval.py", "-i", "question=why", "--db", "runs.db")
    try:
        wait_for_line(process, "waiting for the signal 'approve'")
        command = wait_for_line(process, "karman signal")
        yield process, command.split()[1:]
    finally:
        process.kill()
        process.communicate()


def test_it_says_how_to_send_the_signal_and_goes_on_when_it_came() -> None:
    with waiting_run() as (process, command):
        assert command[2:] == ["approve", "--payload", "'{}'", "--db", "runs.db"]
        sent = karman(*command[:4], '{"by": "me"}', *command[5:])
        output = finish(process)

    assert sent.code == 0
    assert output.code == 0
    assert output.document == {"answer": {"by": "me"}}


@pytest.mark.slow
def test_a_payload_that_is_no_json_is_text() -> None:
    with waiting_run() as (process, command):
        sent = karman("signal", command[1], "approve", "--payload", "yes please", "--db", "runs.db", "--json")
        output = finish(process)

    assert sent.document["payload"] == "yes please"
    assert output.document == {"answer": "yes please"}


@pytest.mark.slow
def test_it_can_be_cancelled() -> None:
    with waiting_run() as (process, command):
        cancelled = karman("cancel", command[1], "--db", "runs.db")
        output = finish(process)

    assert re.match(r"CANCELLED approval r\w+: ", cancelled.out)
    assert output.code == 3
    assert output.out == ""


@pytest.mark.slow
def test_it_can_be_paused_and_resumed() -> None:
    with waiting_run() as (process, command):
        run = command[1]
        assert karman("pause", run, "--db", "runs.db", "--json").document["status"] == "PAUSED"
        wait_for_line(process, "the run is paused; to go on:")
        assert f"karman resume {run} --db runs.db" in wait_for_line(process, "karman resume")
        assert karman("signal", run, "approve", "--db", "runs.db").code == 0
        assert karman("resume", run, "--db", "runs.db").code == 0
        output = finish(process)

    assert output.code == 0
    assert output.document == {"answer": None}


def test_what_it_waits_for_is_shown() -> None:
    with waiting_run() as (_, command):
        shown = karman("show", command[1], "--db", "runs.db").out

    assert re.search(r"waits for +approve", shown)
    assert re.search(r"ask +WAITING .*waits for 'approve'", shown)
