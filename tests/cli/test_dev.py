"""`karman dev`: workers and cron until it is stopped, and `karman trigger` beside it."""

import json
import signal
import time

import pytest

from tests.cli.command_line import GREETING, SUMS, Output, finish, karman, start, wait_for_line, write
from tests.cli.development import dev


def test_what_is_triggered_is_worked_on() -> None:
    write("greeting.py", GREETING)
    write("sums.py", SUMS)
    with dev("greeting.py", "sums.py", "--db", "runs.db"):
        greeting = karman("trigger", "greeting", "-i", "name=5", "--wait", "--db", "runs.db")
        sums = karman("trigger", "sums", "-i", "count=4", "--wait", "--json", "--db", "runs.db")
        failed = karman("trigger", "sums", "-i", "count=4", "-i", "wrong=1", "--wait", "--db", "runs.db")

    assert (greeting.code, greeting.document) == (0, {"result": "Hello, 5!"})
    assert (sums.code, sums.document["result"]) == (0, {"result": 12})
    assert (failed.code, failed.out) == (1, "")
    assert "error: each failed: ValueError" in failed.err


def test_one_line_says_that_it_is_ready_and_it_stops_when_asked() -> None:
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--db", "new/runs.db")
    line = wait_for_line(process, "ready")
    process.send_signal(signal.SIGTERM)
    output = finish(process)

    url, rest = line.removeprefix("ready: ").split(", ", 1)
    assert url.startswith("http://127.0.0.1:")
    assert rest == "1 nodes, graphs greeting, database new/runs.db; Ctrl-C stops\n"
    assert output.code == 0
    assert output.out == ""


def test_the_database_is_made_where_commands_look_for_it() -> None:
    write("greeting.py", GREETING)
    with dev("greeting.py"):
        output = karman("trigger", "greeting", "-i", "name=World", "--wait")

    assert output.document == {"result": "Hello, World!"}


def test_with_json_being_ready_is_a_document() -> None:
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--json", "--db", "runs.db")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    process.send_signal(signal.SIGINT)
    finish(process)

    document = json.loads("".join(lines))
    assert document.pop("url").startswith("http://127.0.0.1:")
    assert len(document.pop("api_key")) == 26
    assert document == {
        "ready": True,
        "database": "runs.db",
        "nodes": ["greet"],
        "graphs": ["greeting"],
    }


def test_a_cron_trigger_fires() -> None:
    write("greeting.py", GREETING + "\ngraph.cron('* * * * *', inputs={'name': 'cron'})\n")
    began = time.time()
    with dev("greeting.py", "--db", "runs.db") as process:
        # On its start it makes up for the last minute.
        wait_for_line(process, "schedule fired")
        wait_for_line(process, "status=SUCCEEDED")
        runs = karman("runs", "--db", "runs.db", "--json").document["runs"]
    minutes = time.time() // 60 - began // 60  # that began meanwhile, and fired too

    assert [run["inputs"] for run in runs] == [{"name": "cron"}] * len(runs)
    assert 1 <= len(runs) <= 1 + minutes


def test_a_failed_attempt_is_logged() -> None:
    write("sums.py", SUMS)
    with dev("sums.py", "--db", "runs.db") as process:
        karman("trigger", "sums", "-i", "count=1", "-i", "wrong=0", "--db", "runs.db")
        line = wait_for_line(process, "attempt failed")

    assert "error=ValueError: a negative number" in line


@pytest.mark.slow
def test_two_processes_with_different_code_share_a_database() -> None:
    write("greeting.py", GREETING)
    write("sums.py", SUMS)
    with dev("greeting.py", "--db", "runs.db"), dev("sums.py", "--db", "runs.db"):
        outputs: list[Output] = [
            karman("trigger", *arguments, "--wait", "--db", "runs.db")
            for _ in range(5)
            for arguments in (("greeting", "-i", "name=World"), ("sums", "-i", "count=4"))
        ]

    assert [output.code for output in outputs] == [0] * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.py"], "There is no file nope.py."),
        (
            ["greeting.py", "same.py"],
            "greeting.py and same.py both have a graph 'greeting'; give one another name.",
        ),
        (["greeting.py", "--secret", "x=1"], "No node reads the secret x"),
        (["wrong.py"], "Graph 'sums' is not valid."),
        (["--no-server"], "--no-server leaves nothing to do without a module"),
        (["greeting.py", "--port", "70000"], "Invalid value for '--port'"),
        (["greeting.py", "-n", "a b"], "'a b' is no name of a namespace"),
    ],
)
def test_what_cannot_be_served_is_said(arguments: list[str], message: str) -> None:
    write("greeting.py", GREETING)
    write("same.py", GREETING.replace("graph.add(greet)", "graph.add(greet, 'other')"))
    write("wrong.py", SUMS.replace("number=many.outputs.result", ""))
    output = karman("dev", *arguments, "--db", "runs.db")

    assert output.code == 2
    assert message in output.err
    assert "ready" not in output.err
