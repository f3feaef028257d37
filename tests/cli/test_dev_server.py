"""The HTTP API of `karman dev`, over loopback."""

import http.client
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.command_line import (
    GREETING,
    PATIENCE_SECONDS,
    PATIENT,
    SLOW,
    finish,
    karman,
    start,
    wait_for_line,
    wait_until,
    write,
)
from tests.cli.development import KEY, client, ran, served, url_of

pytestmark = pytest.mark.slow  # processes, emulators or sheer numbers: seconds a test


def test_a_run_that_is_triggered_over_http_is_worked_on() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (_, api):
        run = ran(api, "greeting", name="World")

    assert (run["status"], run["result"]) == ("SUCCEEDED", {"result": "Hello, World!"})


def test_without_the_key_nothing_is_told() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (_, api):
        answers = [
            httpx.get(f"{api.base_url}graphs", headers=headers) for headers in ({}, {"x-api-key": "another"})
        ]

    assert [answer.status_code for answer in answers] == [401, 401]


def test_exospheres_routes_are_served_with_the_same_key() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (_, api):
        answer = api.get(api.base_url.join("/v0/namespace/default/graphs"))

    assert answer.status_code == 200
    assert [each["name"] for each in answer.json()["templates"]] == ["greeting"]


def test_without_a_configured_key_one_is_made_and_shown_once() -> None:
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--db", "runs.db")
    key = wait_for_line(process, "API key").split()[-1]
    url = url_of(wait_for_line(process, "ready: "))
    with client(url, key) as api:
        answer = api.get("/graphs")
    process.send_signal(signal.SIGTERM)
    output = finish(process)

    assert answer.json()["graphs"] == ["greeting"]
    assert key not in output.err + output.out


def test_a_configured_key_is_not_shown() -> None:
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--db", "runs.db", KARMAN_API_KEY="hush-hush")
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    output = finish(process)

    assert first.startswith("ready: ")
    assert "hush-hush" not in output.err + output.out


def test_it_needs_no_module() -> None:
    with served("--db", "runs.db") as (_, api):
        answer = api.get("/graphs")

    assert answer.json() == {"graphs": [], "cursor": None}


def test_a_key_of_the_command_line_opens_its_namespace_alone() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (_, api):
        key = karman("keys", "create", "ci", "--scope", "read", "--db", "runs.db").out.strip()
        headers = {"x-api-key": key}
        read = api.get("/graphs", headers=headers)
        triggered = api.post("/graphs/greeting/runs", json={}, headers=headers)
        elsewhere = api.get(api.base_url.join("/v1/namespaces/other/graphs"), headers=headers)

    assert [each.status_code for each in (read, triggered, elsewhere)] == [200, 403, 403]


def test_a_port_that_is_taken_is_said() -> None:
    write("greeting.py", GREETING)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        output = finish(start("dev", "greeting.py", "--db", "runs.db", "--port", str(port)))

    assert output.code == 2
    assert f"error: Cannot listen on 127.0.0.1, port {port}: Address already in use" in output.err
    assert "--port" in output.err
    assert "Traceback" not in output.err


def test_code_that_cannot_be_used_ends_the_server_too() -> None:
    write("wrong.py", GREETING.replace('"greeting")', '"greeting", secrets=["token"])'))
    output = finish(start("dev", "wrong.py", "--db", "runs.db"))

    assert output.code == 2
    assert "ready" not in output.err


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_listening_for_other_machines_is_warned_of(host: str, *, warned: bool) -> None:
    process = start("dev", "--db", "runs.db", KARMAN_HOST=host, KARMAN_API_KEY="k")
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    finish(process)

    assert first.startswith("warning: other machines may reach the API") is warned


def test_without_the_server_there_are_workers_alone() -> None:
    write("greeting.py", GREETING)
    process = start("dev", "greeting.py", "--db", "runs.db", "--no-server")
    line = wait_for_line(process, "ready: ")
    output = karman("trigger", "greeting", "-i", "name=World", "--wait", "--db", "runs.db")
    process.send_signal(signal.SIGTERM)
    ended = finish(process)

    assert line == "ready: 1 nodes, graphs greeting, database runs.db; Ctrl-C stops\n"
    assert output.document == {"result": "Hello, World!"}
    assert ended.code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_lets_nodes_finish(number: signal.Signals) -> None:
    write("slow.py", SLOW)
    folder = Path("seen").absolute()
    folder.mkdir()
    with served("slow.py", "--db", "runs.db", before=PATIENT) as (process, api):
        body = {"inputs": {"count": 1}, "store": {"folder": str(folder)}}
        run_id = api.post("/graphs/slow/runs", json=body).json()["run_id"]
        wait_until((folder / "0.began").exists)
        poll = _poll(api, run_id)
        process.send_signal(number)
        status = poll.getresponse().status
        poll.close()
        wait_until(lambda: _refused(api))
        still_working = process.poll() is None
        (folder / "open").touch()
        output = finish(process)
    states = karman("show", run_id, "--db", "runs.db", "--json").document["states"]

    assert status == 503
    assert still_working
    assert output.code == 0
    assert [each["status"] for each in states if each["identifier"] == "each"] == ["SUCCEEDED"]


def test_the_server_answers_while_workers_are_busy() -> None:
    write("sums.py", WIDE)
    answers = 0
    with served("sums.py", "--db", "runs.db") as (_, api):
        for _run in range(20):  # one is enough, unless this process stands still and misses it
            run_id = api.post("/graphs/wide/runs", json={"inputs": {"count": 1_000}}).json()["run_id"]
            while (status := api.get(f"/runs/{run_id}").json()["status"]) == "RUNNING":
                answers += 1
            assert status == "SUCCEEDED"
            if answers >= 20:
                break

    assert answers >= 20


WIDE = """
from karman import Graph, node

@node
def numbers(count: int) -> list[int]:
    return list(range(count))

@node
async def double(number: int) -> int:
    return 2 * number

graph = Graph("wide")
many = graph.add(numbers, "many")
many >> graph.add(double, "each", number=many.outputs.result)
"""


def _poll(api: httpx.Client, run_id: str) -> http.client.HTTPConnection:
    """A long poll that has reached the server: it has answered what was sent to it later."""
    poll = http.client.HTTPConnection(api.base_url.host, api.base_url.port, timeout=PATIENCE_SECONDS)
    poll.request("GET", f"{api.base_url.path}runs/{run_id}?wait_seconds=20", headers={"x-api-key": KEY})
    for _ in range(3):
        assert api.get("/graphs").status_code == 200
    return poll


def _refused(api: httpx.Client) -> bool:
    try:
        httpx.get(f"{api.base_url}graphs", timeout=PATIENCE_SECONDS)
    except httpx.TransportError:
        return True
    return False
