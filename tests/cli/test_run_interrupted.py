"""A run that is interrupted, killed, and gone on with."""

import re
import signal
from pathlib import Path

import pytest

from tests.cli.command_line import SLOW, Output, finish, start, wait_for_line, wait_until, write


def began(folder: Path) -> int:
    return len(list(folder.glob("*.began")))


def wait_until_began(folder: Path, count: int) -> None:
    wait_until(lambda: began(folder) >= count, "the nodes did not begin")


def resume_command(output: Output) -> list[str]:
    """What the process said how to go on, as arguments."""
    said = re.search(r"to go on:\n  karman (.+)", output.err)
    assert said is not None, output.err
    return said[1].split()


def test_ctrl_c_lets_nodes_finish_and_says_how_to_go_on(tmp_path: Path) -> None:
    write("slow.py", SLOW)
    process = start(
        "run", "slow.py", "-i", "count=4", "--store", f"folder={tmp_path}", "--db", "runs.db", "-c", "2"
    )
    wait_until_began(tmp_path, 2)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "stopping")
    (tmp_path / "open").touch()
    output = finish(process)

    assert output.code == 130
    assert output.out == ""
    assert began(tmp_path) == 2
    resumed = finish(start(*resume_command(output)))
    assert resumed.code == 0, resumed.err
    assert resumed.document == {"result": 4}
    assert began(tmp_path) == 4


def test_with_json_an_interrupted_run_is_a_document_too(tmp_path: Path) -> None:
    write("slow.py", SLOW)
    process = start(
        "run", "slow.py", "-i", "count=1", "--store", f"folder={tmp_path}", "--db", "runs.db", "--json"
    )
    wait_until_began(tmp_path, 1)
    process.send_signal(signal.SIGTERM)
    wait_for_line(process, "stopping")
    (tmp_path / "open").touch()
    output = finish(process)

    # The node ends within the grace, but the state that follows is not begun.
    assert output.code == 130
    assert output.document["interrupted"] is True
    assert output.document["status"] == "RUNNING"
    assert f"--resume {output.document['run_id']}" in output.document["go_on"]


def test_a_second_ctrl_c_exits_at_once(tmp_path: Path) -> None:
    write("slow.py", SLOW)
    process = start("run", "slow.py", "-i", "count=1", "--store", f"folder={tmp_path}", "--db", "runs.db")
    wait_until_began(tmp_path, 1)
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "stopping")
    process.send_signal(signal.SIGINT)

    assert finish(process).code == 130


def test_a_temporary_run_ends_at_once_and_is_gone(tmp_path: Path) -> None:
    write("slow.py", SLOW)
    process = start("run", "slow.py", "-i", "count=1", "--store", f"folder={tmp_path}", TMPDIR=str(tmp_path))
    wait_until_began(tmp_path, 1)
    process.send_signal(signal.SIGINT)
    output = finish(process)

    assert output.code == 130
    assert "with --db FILE a run stays" in output.err
    assert list(tmp_path.glob("karman-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_a_run_whose_process_was_killed_is_gone_on_with(tmp_path: Path, *, named: bool) -> None:
    write("slow.py", SLOW)
    process = start(
        "run",
        "slow.py",
        "-i",
        "count=3",
        "--store",
        f"folder={tmp_path}",
        "--db",
        "runs.db",
        KARMAN_LEASE_SECONDS="1",
    )
    wait_until_began(tmp_path, 3)
    process.kill()
    finish(process)
    runs = finish(start("runs", "--db", "runs.db", "--json")).document["runs"]
    assert [run["status"] for run in runs] == ["RUNNING"]

    target = ["slow.py"] if named else []
    resume = ("run", *target, "--db", "runs.db", "--resume", runs[0]["run_id"])
    resumed = finish(start(*resume, KARMAN_LEASE_SECONDS="1"))
    assert resumed.code == 0, resumed.err
    assert resumed.document == {"result": 3}

    again = finish(start(*resume))
    assert again.code == 0
    assert again.document == {"result": 3}


def test_a_run_that_does_not_exist_cannot_be_resumed(tmp_path: Path) -> None:
    assert "There is no database" in finish(start("run", "--resume", "r1", "--db", "runs.db")).err
