"""What Exosphere promises its users, through their own SDK against Karman."""

from pathlib import Path
from typing import Any

import pytest

from tests.exosphere.sdk import Exosphere, node

pytestmark = pytest.mark.slow  # another interpreter, and processes that poll

FAST = {"max_retries": 2, "strategy": "FIXED", "backoff_factor": 50}
NEVER = {"max_retries": 0}
both_strategies = pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ALL_DONE"])


def unites(identifier: str, strategy: str = "ALL_SUCCESS") -> dict[str, str]:
    return {"identifier": identifier, "strategy": strategy}


def counts(row: dict[str, Any]) -> tuple[str, int, int, int]:
    return row["status"], row["success_count"], row["errored_count"], row["retried_count"]


def test_a_chain(exosphere: Exosphere) -> None:
    run_id = exosphere.begin(
        "chain",
        [
            node("a", "Echo", "replaced", "b"),
            node("b", "Shout", "<${{ a.outputs.text }}>", "c"),
            node("c", "Silent", "${{ b.outputs.text }}", "d"),
            node("d", "Echo", "${{ a.outputs.text }} ${{ b.outputs.text }}"),
        ],
        trigger={"inputs": {"text": "hello", "unknown": "passed over"}},
    )
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 4, 0, 0)
    assert exosphere.texts(run_id, "d") == ["hello <HELLO>"]
    [last] = exosphere.states(run_id, "d")
    assert list(last["parents"]) == ["a", "b", "c"]
    assert last["inputs"] == {"text": "hello <HELLO>"}


@both_strategies
def test_a_fanout_of_ten_is_united(exosphere: Exosphere, strategy: str) -> None:
    run_id = exosphere.begin(
        f"fanout-{strategy}",
        [
            node("root", "Echo", "10", "fan"),
            node("fan", "Fan", "${{ root.outputs.text }}", "each"),
            node("each", "Echo", "${{ fan.outputs.text }}", "join"),
            node("join", "Echo", "${{ root.outputs.text }}", unites=unites("root", strategy)),
        ],
    )
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 13, 0, 0)
    assert sorted(exosphere.texts(run_id, "each")) == sorted(str(index) for index in range(10))
    assert exosphere.texts(run_id, "join") == ["10"]


@both_strategies
def test_uniting_the_node_that_fans_out_is_one_join_that_reads_all_branches(
    exosphere: Exosphere, strategy: str
) -> None:
    run_id = exosphere.begin(
        f"united-fan-{strategy}",
        [
            node("fan", "Fan", "3", "each"),
            node("each", "Echo", "${{ fan.outputs.text }}", "join"),
            node("join", "Echo", "${{ each.outputs.text }}", unites=unites("fan", strategy)),
        ],
    )
    assert exosphere.ended(run_id)["status"] == "SUCCESS"
    assert exosphere.texts(run_id, "join") == ['["0","1","2"]']


@both_strategies
def test_uniting_the_direct_predecessor(exosphere: Exosphere, strategy: str) -> None:
    run_id = exosphere.begin(
        f"direct-{strategy}",
        [node("a", "Echo", "x", "join"), node("join", "Echo", "joined", unites=unites("a", strategy))],
    )
    assert exosphere.ended(run_id)["status"] == "SUCCESS"
    assert exosphere.texts(run_id, "join") == ["joined"]


@both_strategies
def test_all_branches_pruned(exosphere: Exosphere, strategy: str) -> None:
    run_id = exosphere.begin(
        f"pruned-{strategy}",
        [
            node("fan", "Fan", "3", "each"),
            node("each", "PruneAll", "${{ fan.outputs.text }}", "join"),
            node("join", "Echo", "joined", unites=unites("fan", strategy)),
        ],
    )
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 5, 0, 0)
    assert exosphere.texts(run_id, "join") == ["joined"]
    assert {state["status"] for state in exosphere.states(run_id, "each")} == {"PRUNED"}


def test_some_branches_pruned(exosphere: Exosphere) -> None:
    run_id = exosphere.begin(
        "pruned-some",
        [
            node("fan", "Fan", "4", "each"),
            node("each", "PruneOdd", "${{ fan.outputs.text }}", "join"),
            node("join", "Echo", "${{ each.outputs.text }}", unites=unites("fan")),
        ],
    )
    assert exosphere.ended(run_id)["status"] == "SUCCESS"
    assert exosphere.texts(run_id, "join") == ['["0","2"]']


@pytest.mark.parametrize(("strategy", "joins"), [("ALL_SUCCESS", []), ("ALL_DONE", ["joined"])])
def test_the_last_branch_errored(exosphere: Exosphere, strategy: str, joins: list[str]) -> None:
    run_id = exosphere.begin(
        f"errored-{strategy}",
        [
            node("fan", "Fan", "10", "each"),
            node("each", "FailLast", "${{ fan.outputs.text }}", "join"),
            node("join", "Echo", "joined", unites=unites("fan", strategy)),
        ],
        retry_policy=NEVER,
    )
    row = exosphere.ended(run_id)
    assert (row["status"], row["errored_count"], row["success_count"]) == ("FAILED", 1, 10 + len(joins))
    assert exosphere.texts(run_id, "join") == joins


@pytest.mark.parametrize("family", ["EXPONENTIAL", "LINEAR", "FIXED"])
@pytest.mark.parametrize("jitter", ["", "_FULL_JITTER", "_EQUAL_JITTER"])
def test_retries_until_it_goes_well(exosphere: Exosphere, tmp_path: Path, family: str, jitter: str) -> None:
    run_id = exosphere.begin(
        f"retry-{family}{jitter}",
        [node("a", "Counted", f"{tmp_path / 'count'} 3")],
        retry_policy={"max_retries": 3, "strategy": family + jitter, "backoff_factor": 20},
    )
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 1, 0, 2)
    states = exosphere.states(run_id, "a")
    assert [state["status"] for state in states] == ["RETRY_CREATED", "RETRY_CREATED", "SUCCESS"]
    assert [state["error"] for state in states] == ["not yet", "not yet", None]


def test_retries_end_and_a_manual_retry_goes_on(exosphere: Exosphere, tmp_path: Path) -> None:
    run_id = exosphere.begin(
        "manual",
        [node("a", "Counted", f"{tmp_path / 'count'} 4", "b"), node("b", "Echo", "after")],
        retry_policy=FAST,
    )
    assert counts(exosphere.ended(run_id)) == ("FAILED", 0, 1, 2)
    state = exosphere.states(run_id, "a")[-1]
    assert (state["status"], state["error"]) == ("ERRORED", "not yet")
    retried = exosphere.post(f"/state/{state['id']}/manual-retry", {"fanout_id": "by-hand"})
    assert retried == {"id": state["id"], "status": "CREATED"}
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 2, 0, 3)


def test_a_state_is_run_later_as_often_as_it_asks(exosphere: Exosphere, tmp_path: Path) -> None:
    run_id = exosphere.begin("later", [node("a", "Later", f"{tmp_path / 'count'} 3")])
    assert counts(exosphere.ended(run_id)) == ("SUCCESS", 1, 0, 0)
    assert (tmp_path / "count").read_text() == "xxx"


def test_secrets_reach_the_node(exosphere: Exosphere) -> None:
    run_id = exosphere.begin(
        "secret", [node("a", "TellSecret", "the token is ")], secrets={"token": "s3cret", "other": "x"}
    )
    assert exosphere.ended(run_id)["status"] == "SUCCESS"
    [state] = exosphere.states(run_id, "a")
    assert state["outputs"] == {"text": "the token is s3cret"}
    assert exosphere.get("/graph/secret")["secrets"] == {"token": True, "other": True}
    secrets = exosphere.get(f"/state/{state['id']}/secrets")["secrets"]
    assert secrets == {"token": "s3cret", "other": "x"}


def test_the_store_with_required_keys_and_defaults(exosphere: Exosphere) -> None:
    run_id = exosphere.begin(
        "store",
        [
            node("a", "Echo", "${{ store.given }}", "b"),
            node("b", "Echo", "${{ a.outputs.text }} ${{ store.kept }} ${{ store.replaced }}"),
        ],
        store_config={
            "required_keys": ["given", "kept"],
            "default_values": {"kept": "default", "replaced": "?"},
        },
        trigger={"store": {"given": "1", "replaced": "2"}},
    )
    assert exosphere.ended(run_id)["status"] == "SUCCESS"
    assert exosphere.texts(run_id, "b") == ["1 default 2"]


def test_a_delayed_start(exosphere: Exosphere) -> None:
    late, soon = (
        exosphere.begin("delayed", [node("a", "Echo", "x")], trigger={"start_delay": delay_ms})
        for delay_ms in (3_600_000, 1_000)
    )
    assert exosphere.ended(soon)["status"] == "SUCCESS"
    row = exosphere.row(late)
    assert (row["status"], row["pending_count"]) == ("PENDING", 1)
