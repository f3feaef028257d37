"""Several runtimes in a namespace, one that is killed, a server that is killed, and wide fanouts."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.exosphere.sdk import Exosphere, node, server, wait_for

pytestmark = pytest.mark.slow  # another interpreter, and processes that poll


def fan_of(width: int) -> list[dict[str, Any]]:
    return [
        node("fan", "Fan", str(width), "each"),
        node("each", "Echo", "${{ fan.outputs.text }}", "join"),
        node("join", "Echo", "joined", unites={"identifier": "fan", "strategy": "ALL_SUCCESS"}),
    ]


def test_two_runtimes_with_different_nodes_work_on_one_graph(python: Path, url: str) -> None:
    user = Exosphere(python, url, "two")
    with user.runtime("Fan", name="first"), user.runtime("Echo", name="second"):
        run_id = user.begin("g", fan_of(10))
        assert user.ended(run_id)["success_count"] == 12
    runtimes = {item["name"]: item["runtime_name"] for item in user.get("/nodes/")["nodes"]}
    assert runtimes == {"Fan": "first", "Echo": "second"}


def test_a_runtime_that_registers_the_same_nodes_later_takes_nothing_away(python: Path, url: str) -> None:
    user = Exosphere(python, url, "same")
    with user.runtime("Fan", "Echo", name="first"):
        run_id = user.begin("g", fan_of(10), trigger={"start_delay": 2_000})
        with user.runtime("Echo", name="second"):
            assert user.ended(run_id)["status"] == "SUCCESS"
        run_id = user.begin("g", fan_of(10))
        assert user.ended(run_id)["status"] == "SUCCESS"


def test_the_states_of_a_killed_runtime_go_on(python: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    # Longer than the second runtime ever takes between its lease and its report: else it would get the state twice.
    with server(tmp_path / "karman.db", lease_seconds=10) as url:
        user = Exosphere(python, url, "killed")
        with user.runtime("Hang", name="first", batch=1, workers=1) as first:
            run_id = user.begin("g", [node("a", "Hang", str(count))])
            wait_for(lambda: count.exists() or None)
            first.send_signal(signal.SIGKILL)
            first.wait()
        with user.runtime("Hang", name="second", batch=1, workers=1):
            assert user.ended(run_id)["status"] == "SUCCESS"
        assert count.read_text() == "xx"


def test_a_server_killed_amid_a_fanout_goes_on(python: Path, tmp_path: Path) -> None:
    database = tmp_path / "karman.db"
    with server(database, lease_seconds=3) as url:
        user = Exosphere(python, url, "restarted")
        with user.runtime("Fan", "Echo", batch=20):
            run_id = user.begin("g", fan_of(60))
            wait_for(lambda: user.row(run_id).get("success_count", 0) > 10 or None)
    with server(database, lease_seconds=3) as url:
        user = Exosphere(python, url, "restarted")
        with user.runtime("Fan", "Echo", name="again", batch=50):
            assert user.ended(run_id)["success_count"] == 62


def test_a_fanout_of_a_thousand_is_united(python: Path, url: str) -> None:
    user = Exosphere(python, url, "wide")
    with user.runtime("Fan", "Echo", batch=100, workers=32):
        run_id = user.begin("g", fan_of(1_000))
        row = user.ended(run_id, 200)
    assert (row["status"], row["success_count"]) == ("SUCCESS", 1_002)
    drawn = user.get(f"/states/run/{run_id}/graph")
    assert (drawn["node_count"], drawn["edge_count"]) == (1_002, 1_001)


@pytest.mark.timeout(400)
def test_a_graph_is_triggered_each_minute(python: Path, url: str) -> None:
    user = Exosphere(python, url, "cron")
    with user.runtime("Echo"):
        by_hand = user.begin("g", [node("a", "Echo", "x")], triggers=["* * * * *"])
        user.ended(by_hand)
        rows = wait_for(
            lambda: rows if (rows := user.get("/runs/1/10")["runs"])[0]["run_id"] != by_hand else None, 120
        )
        assert user.ended(rows[0]["run_id"])["status"] == "SUCCESS"
