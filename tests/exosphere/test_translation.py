"""The words of Exosphere and Karman, one by one."""

import pytest

from karman_core.domain.transitions import RunStatus, StateStatus
from karman_core.engine.views import AttemptView, RunView, StateView, TotalsView
from karman_functions.exosphere.errors import Failed
from karman_functions.exosphere.names import node_id_of, page_number, runtime_of, state_id_of
from karman_functions.exosphere.pictures import REPORTED, count, drawn, run_row, total_counts, totals_tell
from karman_functions.exosphere.statuses import STATES, Status, run_status
from karman_functions.exosphere.times import naive_iso


def state(
    status: str, *kinds: str | None, branch: str = "", number: int = 0, identifier: str = "a"
) -> StateView:
    attempts = tuple(
        AttemptView(place, 0, 0, kind, kind and f"m{place}") for place, kind in enumerate(kinds, 1)
    )
    return StateView(
        run_id="r",
        state_id=f"r-{branch.replace('/', '_')}-{number}",
        identifier=identifier,
        node_name="N",
        branch=branch,
        number=number,
        status=status,
        attempts=attempts,
    )


def run(status: str, **totals: int) -> RunView:
    return RunView(
        namespace="ns",
        run_id="r",
        graph="g",
        graph_version=1,
        status=status,
        epoch=0,
        created_ms=0,
        starts_ms=0,
        ended_ms=None,
        deadline_ms=0,
        inputs={},
        totals=TotalsView(**totals),
    )


def test_every_status_of_a_state_has_a_word() -> None:
    assert set(STATES) == set(StateStatus)


@pytest.mark.parametrize("status", RunStatus)
def test_every_status_of_a_run_has_a_word(status: RunStatus) -> None:
    words = {RunStatus.SUCCEEDED: "SUCCESS"} | dict.fromkeys(
        (RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT), "FAILED"
    )
    assert run_status(status, 0) == words.get(status, "PENDING")


def test_a_run_with_an_errored_state_has_failed_once_it_has_ended() -> None:
    assert (run_status("SUCCEEDED", 1), run_status("RUNNING", 1)) == ("FAILED", "PENDING")


def test_times_have_no_zone() -> None:
    assert naive_iso(1_767_323_045_678) == "2026-01-02T03:04:05.678"


def test_each_node_has_a_queue_that_runtimes_cannot_collide_on() -> None:
    names = ["Echo", "a.b", "a-b", "x" * 128, "x" * 127 + "y", "A"]
    runtimes = [runtime_of(name) for name in names]
    assert len(set(runtimes)) == len(names)
    assert runtimes[0] == "v0-Echo"
    assert all(len(runtime) <= 128 and "." not in runtime for runtime in runtimes)


def test_ids_of_attempts_are_for_looking_at_alone() -> None:
    assert node_id_of("r1--0~2") == ("r1--0", 2)
    assert node_id_of("r1-0.1_2.3-4") == ("r1-0.1_2.3-4", None)
    assert state_id_of("r1--0") == "r1--0"
    for text in ("r1--0~2", "r1--0~", "R--0", "r#--0", "", "r1--0\n"):
        with pytest.raises(Failed):
            state_id_of(text)


@pytest.mark.parametrize("text", ["0", "-1", "11", "x", "", "٣", "1.0", "9" * 5_000])
def test_numbers_in_paths_are_bounded(text: str) -> None:
    with pytest.raises(Failed) as failed:
        page_number(text, "size", 10)
    assert failed.value.status == 422


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (state("QUEUED"), [("r--0", "CREATED", None)]),
        (state("SUCCEEDED", None), [("r--0", "SUCCESS", None)]),
        (state("RETRYING", REPORTED), [("r--0~1", "RETRY_CREATED", "m1"), ("r--0", "CREATED", None)]),
        (
            state("FAILED", REPORTED, "timeout"),
            [("r--0~1", "RETRY_CREATED", "m1"), ("r--0", "ERRORED", "timeout: m2")],
        ),
        (state("CANCELLED"), [("r--0", "ERRORED", None)]),
    ],
)
def test_attempts_that_were_retried_are_states_too(
    view: StateView, expected: list[tuple[str, str, str | None]]
) -> None:
    assert [(one.id, one.status, one.error) for one in drawn(view)] == expected


@pytest.mark.parametrize(
    ("branch", "number", "source"),
    [("", 0, None), ("", 2, "r--1"), ("1.7", 0, "r--1"), ("1.7/0.3", 0, "r-1.7-0"), ("1.7", 3, "r-1.7-2")],
)
def test_a_state_comes_from_the_one_before_it(branch: str, number: int, source: str | None) -> None:
    [one] = drawn(state("SUCCEEDED", branch=branch, number=number))
    assert one.source == source


def test_what_totals_tell_and_what_they_do_not() -> None:
    ended = run("FAILED", succeeded=3, pruned=1, failed=2, turns=6)
    row = run_row(ended, total_counts(ended))
    assert totals_tell(ended)
    counts = [row[f"{name}_count"] for name in ("success", "pending", "errored", "retried", "total")]
    assert counts == [4, 0, 2, 0, 6]
    assert not totals_tell(run("SUCCEEDED", succeeded=1, turns=2))
    assert not totals_tell(run("RUNNING"))
    assert total_counts(run("RUNNING")).pending == 1


def test_nodes_are_counted_by_how_they_stand() -> None:
    views = [state("FAILED", REPORTED, REPORTED), state("PRUNED"), state("RUNNING"), state("WAITING")]
    counts = count([one for view in views for one in drawn(view)])
    assert (counts.success, counts.pending, counts.errored, counts.retried) == (1, 2, 1, 1)
    assert {Status.EXECUTED, Status.NEXT_CREATED_ERROR}.isdisjoint(STATES.values())
