"""`karman worker` beside others on a database file. On AWS: tests/runtime/test_processes_on_aws.py."""

import re
import signal
import urllib.request

import pytest

from tests.cli.command_line import GREETING, finish, karman, start, wait_for_line, write


@pytest.fixture(autouse=True)
def database() -> None:
    """A database with a graph, on which nobody works."""
    write("greeting.py", GREETING)
    karman("run", "greeting.py", "-i", "name=World", "--db", "runs.db")


def test_it_works_until_it_is_told_to_end() -> None:
    worker = start("worker", "greeting.py", "--db", "runs.db", "--health-port", "0")
    ready = wait_for_line(worker, "ready")
    url = re.search(r"health=(\S+)", ready)
    assert url is not None
    with urllib.request.urlopen(url[1], timeout=60) as answer:
        assert answer.status == 200
    waited = karman("trigger", "greeting", "-i", "name=you", "--wait", "--db", "runs.db", "--json")
    worker.send_signal(signal.SIGTERM)
    ended = finish(worker)

    assert waited.document["result"] == {"result": "Hello, you!"}
    assert ended.code == 0


def test_modules_may_come_from_the_environment() -> None:
    worker = start("worker", "--db", "runs.db", "--no-health", "--no-register", KARMAN_NODES="greeting.py")
    assert "health=None" in wait_for_line(worker, "ready")
    worker.send_signal(signal.SIGTERM)
    assert finish(worker).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a module with nodes, or set KARMAN_NODES"),
        (("none.py", "--db", "runs.db"), "There is no file none.py"),
        (("greeting.py", "--db", "none.db"), "There is no database none.db"),
        (("greeting.py", "--db", "runs.db", "--stop-seconds", "-1"), "--stop-seconds"),
    ],
)
def test_what_is_missing_is_said(arguments: tuple[str, ...], message: str) -> None:
    refused = karman("worker", *arguments)
    assert refused.code == 2
    assert message in refused.err
