"""`karman trigger` and the commands about runs, on a database that nobody works on."""

import pytest

from tests.cli.command_line import GREETING, SUMS, finish, karman, start, wait_for_line, write


@pytest.fixture(autouse=True)
def database() -> None:
    """A database with a run that succeeded, one that failed, and the graphs of both."""
    write("greeting.py", GREETING)
    write("sums.py", SUMS)
    karman("run", "greeting.py", "-i", "name=World", "--db", "runs.db")
    karman("run", "sums.py", "-i", "count=20", "-i", "wrong=3", "--db", "runs.db")


def run_of(graph: str) -> str:
    runs = karman("runs", "--graph", graph, "--db", "runs.db", "--json").document["runs"]
    return str(runs[0]["run_id"])


def test_it_prints_the_id_of_the_run() -> None:
    output = karman("trigger", "greeting", "-i", "name=5", "--db", "runs.db")
    shown = karman("show", output.out.strip(), "--db", "runs.db", "--json").document

    assert output.code == 0
    assert shown["run"]["status"] == "RUNNING"
    assert shown["run"]["inputs"] == {"name": "5"}


def test_the_same_idempotency_key_is_the_same_run() -> None:
    arguments = ("trigger", "greeting", "-i", "name=a", "--idempotency-key", "k", "--db", "runs.db", "--json")
    first, second = karman(*arguments).document, karman(*arguments).document

    assert first == {"run_id": second["run_id"], "created": True}
    assert second["created"] is False
    other = karman(*arguments, "-i", "times=2")
    assert other.code == 2
    assert other.document["error"]["code"] == "conflict"


def test_without_a_worker_the_waiting_says_so() -> None:
    process = start("trigger", "greeting", "-i", "name=a", "--wait", "--db", "runs.db")
    run = wait_for_line(process, "run ").split()[1]
    wait_for_line(process, "is a worker running that has the graph's nodes")
    cancelled = karman("cancel", run, "--db", "runs.db")

    assert cancelled.code == 0
    assert finish(process).code == 3


def test_a_delayed_run_is_queued() -> None:
    run = karman("trigger", "greeting", "-i", "name=a", "--delay", "3600", "--db", "runs.db").out.strip()

    assert karman("show", run, "--db", "runs.db", "--json").document["run"]["status"] == "QUEUED"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nope"], "not_found", "There is no graph 'nope' in namespace 'default'."),
        (["greeting"], "invalid_input", "Graph 'greeting' cannot be triggered like this."),
        (
            ["greeting", "-i", "name=a", "-n", "other"],
            "not_found",
            "There is no graph 'greeting' in namespace 'other'.",
        ),
    ],
)
def test_what_cannot_be_triggered(arguments: list[str], code: str, message: str) -> None:
    output = karman("trigger", *arguments, "--db", "runs.db", "--json")

    assert output.code == 2
    assert output.document["error"]["code"] == code
    assert output.document["error"]["message"] == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--timeout", "inf"],
            "Invalid value for '--timeout': Input should be less than or equal to 31622400",
        ),
        (["--delay", "1e30"], "Invalid value for '--delay': Input should be less than or equal to 31622400"),
        (["--idempotency-key", ""], "the key is empty; without the option each call begins a run of its own"),
        (["-n", "a#keys"], "'a#keys' is no name of a namespace: it starts with a letter"),
    ],
)
def test_options_that_no_run_can_have(arguments: list[str], message: str) -> None:
    output = karman("trigger", "greeting", "-i", "name=a", *arguments, "--db", "runs.db")

    assert (output.code, output.out) == (2, "")
    assert message in output.err


def test_runs_are_listed_newest_first() -> None:
    output = karman("runs", "--db", "runs.db")
    lines = output.out.splitlines()

    assert lines[0].split() == ["RUN", "GRAPH", "STATUS", "STARTED", "TOOK", "STATES", "FAILED"]
    assert [line.split()[1:4] for line in lines[1:]] == [
        ["sums", "v1", "FAILED"],
        ["greeting", "v1", "SUCCEEDED"],
    ]


@pytest.mark.parametrize(
    ("arguments", "graphs"),
    [
        (["--graph", "sums"], ["sums"]),
        (["--status", "succeeded"], ["greeting"]),
        (["--limit", "1"], ["sums"]),
        (["--since", "1h"], ["sums", "greeting"]),
        (["--graph", "nope"], []),
        (["--namespace", "other"], []),
    ],
)
def test_runs_are_filtered(arguments: list[str], graphs: list[str]) -> None:
    runs = karman("runs", "--db", "runs.db", "--json", *arguments).document["runs"]

    assert [run["graph"] for run in runs] == graphs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--status", "done"], "--status is one of QUEUED, "),
        (
            ["--since", "yesterday"],
            "--since takes an age (30m, 12h, 1d, 2w) or an ISO time (2026-01-31 or 2026-01-31T09:30), not",
        ),
        (["--limit", "0"], "'--limit'"),
    ],
)
def test_filters_that_make_no_sense(arguments: list[str], message: str) -> None:
    output = karman("runs", "--db", "runs.db", *arguments)

    assert output.code == 2
    assert message in output.err


def test_a_failed_run_is_retried() -> None:
    run = run_of("sums")
    retried = karman("retry", run, "--db", "runs.db", "--json").document
    write("sums.py", SUMS.replace('raise ValueError("a negative number")', "return 0"))
    resumed = finish(start("run", "sums.py", "--db", "runs.db", "--resume", run))

    assert retried["status"] == "RUNNING"
    assert resumed.code == 0, resumed.err
    assert resumed.document == {"result": 2 * (sum(range(20)) - 3)}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("cancel",), "has ended: SUCCEEDED."),
        (("pause",), "has ended: SUCCEEDED."),
        (("resume",), "has ended: SUCCEEDED."),
        (("retry",), "is SUCCEEDED; only a FAILED run can be retried."),
        (("signal", "name"), "has ended (SUCCEEDED); nobody can take the signal."),
    ],
)
def test_a_run_that_has_ended_is_past_changing(command: tuple[str, ...], message: str) -> None:
    output = karman(command[0], run_of("greeting"), *command[1:], "--db", "runs.db")

    assert output.code == 2
    assert message in output.err


@pytest.mark.parametrize(
    "command", [("cancel",), ("pause",), ("resume",), ("retry",), ("show",), ("signal", "name")]
)
def test_a_run_that_does_not_exist(command: tuple[str, ...]) -> None:
    output = karman(command[0], "r1", *command[1:], "--db", "runs.db", "--json")

    assert output.code == 2
    assert output.document["error"] == {
        "code": "not_found",
        "message": "There is no run 'r1' in namespace 'default'.",
        "problems": [],
    }


@pytest.mark.parametrize("command", ["runs", "show r1", "cancel r1", "trigger g", "signal r1 s"])
def test_a_database_that_does_not_exist(command: str) -> None:
    output = karman(*command.split(), "--db", "nope.db")

    assert output.code == 2
    assert output.err == (
        "error: There is no database at nope.db; `karman dev` and `karman run --db nope.db` make one.\n"
    )


def test_the_database_may_be_named_by_the_environment() -> None:
    assert len(karman("runs", "--json", env={"KARMAN_DB": "runs.db"}).document["runs"]) == 2
    assert karman("runs", env={"KARMAN_DB": "nope.db"}).err.startswith(
        "error: There is no database at nope.db;"
    )


def test_a_setting_that_cannot_be_used() -> None:
    output = karman("runs", "--db", "runs.db", env={"KARMAN_NAMESPACE": "no spaces"})

    assert output.code == 2
    assert "KARMAN_NAMESPACE" in output.err
