"""`karman dev` while its code is edited."""

import signal
from pathlib import Path

import pytest

from tests.cli.command_line import GREETING, PATIENT, SLOW, finish, karman, wait_for_line, wait_until, write
from tests.cli.development import ended, ran, served

USING = """
from karman import Graph, node
from words import GREETING

@node
def greet(name: str) -> str:
    return f"{GREETING}, {name}!"

graph = Graph("greeting")
graph.add(greet)
"""


def test_a_changed_node_is_run_as_it_is_now() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (process, api):
        before = ran(api, "greeting", name="World")["result"]
        write(
            "greeting.py", GREETING.replace("Hello", "Howdy")
        )  # of the same size, perhaps in the same second
        wait_for_line(process, "reloaded: 1 nodes, graphs greeting")
        after = ran(api, "greeting", name="World")["result"]

    assert before == {"result": "Hello, World!"}
    assert after == {"result": "Howdy, World!"}


@pytest.mark.slow
def test_a_module_that_it_imports_is_looked_at_too() -> None:
    write("words.py", 'GREETING = "Hello"')
    write("greeting.py", USING)
    with served("greeting.py", "--db", "runs.db") as (process, api):
        write("words.py", 'GREETING = "Howdy"')
        wait_for_line(process, "reloaded: 1 nodes")
        after = ran(api, "greeting", name="World")["result"]

    assert after == {"result": "Howdy, World!"}


SLOW_START = """
import asyncio
import karman_cli.developing as developing

look = developing.reload_forever

async def look_late(*arguments):
    await asyncio.sleep(1)
    await look(*arguments)

developing.reload_forever = look_late
"""


def test_what_is_changed_while_the_server_starts_is_a_change() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db", before=SLOW_START) as (process, api):
        write("greeting.py", GREETING.replace("Hello", "Howdy"))
        wait_for_line(process, "reloaded: 1 nodes")
        after = ran(api, "greeting", name="World")["result"]

    assert after == {"result": "Howdy, World!"}


@pytest.mark.slow
def test_a_package_is_loaded_again_as_a_whole() -> None:
    write("flows/__init__.py", "")
    write("flows/inner/__init__.py", "")
    write("flows/inner/words.py", 'GREETING = "Hello"')
    write("flows/greeting.py", USING.replace("from words", "from flows.inner.words"))
    with served("flows.greeting", "--db", "runs.db") as (process, api):
        write("flows/inner/words.py", 'GREETING = "Howdy"')
        wait_for_line(process, "reloaded: 1 nodes")
        after = ran(api, "greeting", name="World")["result"]

    assert after == {"result": "Howdy, World!"}


@pytest.mark.slow
def test_new_nodes_and_graphs_are_made_known() -> None:
    write("greeting.py", GREETING)
    more = GREETING + '\n@node\ndef part(name: str) -> str:\n    return f"Bye, {name}!"\n'
    with served("greeting.py", "--db", "runs.db") as (process, api):
        write("greeting.py", f'{more}\nparting = Graph("parting")\nparting.add(part)\n')
        wait_for_line(process, "reloaded: 2 nodes, graphs greeting, parting")
        run = ran(api, "parting", name="World")

    assert run["result"] == {"result": "Bye, World!"}


def test_code_that_cannot_be_loaded_leaves_the_old_code_at_work() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db") as (process, api):
        write("greeting.py", GREETING + "\ndef (\n")
        error = wait_for_line(process, "not reloaded")
        during = ran(api, "greeting", name="World")["result"]
        write("greeting.py", GREETING.replace("Hello", "Howdy"))
        wait_for_line(process, "reloaded: 1 nodes")
        after = ran(api, "greeting", name="World")["result"]

    assert "greeting.py cannot be imported: SyntaxError" in error
    assert during == {"result": "Hello, World!"}
    assert after == {"result": "Howdy, World!"}


@pytest.mark.slow
def test_a_graph_that_is_not_valid_leaves_the_old_one_at_work() -> None:
    write("greeting.py", GREETING)
    wrong = GREETING.replace("name: str", "named: int").replace("{name}", "{named}")
    with served("greeting.py", "--db", "runs.db") as (process, api):
        write("greeting.py", wrong.replace("graph.add(greet)", "graph.add(greet, named='x')"))
        error = wait_for_line(process, "not reloaded")
        run = ran(api, "greeting", name="World")

    assert "greeting" in error
    assert run["result"] == {"result": "Hello, World!"}


@pytest.mark.slow
def test_a_node_that_runs_is_finished_by_the_code_it_began_with() -> None:
    write("slow.py", SLOW)
    folder = Path("seen").absolute()
    folder.mkdir()
    with served("slow.py", "--db", "runs.db", before=PATIENT) as (process, api):
        body = {"inputs": {"count": 1}, "store": {"folder": str(folder)}}
        run_id = api.post("/graphs/slow/runs", json=body).json()["run_id"]
        wait_until((folder / "0.began").exists)
        write("slow.py", SLOW.replace("return len(numbers)", "return 100 + len(numbers)"))
        wait_for_line(process, "reloaded: 3 nodes")
        (folder / "open").touch()
        run = ended(api, run_id)
        states = api.get(f"/runs/{run_id}/states").json()["states"]

    assert run["result"] == {"result": 101}
    assert [len(each["attempts"]) for each in states if each["identifier"] == "each"] == [1]


def test_without_reload_the_code_stays() -> None:
    write("greeting.py", GREETING)
    with served("greeting.py", "--db", "runs.db", "--no-reload") as (process, api):
        write("greeting.py", GREETING + "\ndef (\n")
        ran(api, "greeting", name="World")
        process.send_signal(signal.SIGTERM)
        output = finish(process)

    assert "reloaded" not in output.err
    assert karman("runs", "--db", "runs.db", "--json").document["runs"][0]["status"] == "SUCCEEDED"
