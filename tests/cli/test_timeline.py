"""What is told of a run in the order of time, and its progress as it is read."""

from dataclasses import replace

from karman_cli.progress import Progress, Row
from karman_cli.timeline import in_order, run_events, state_events
from karman_core.domain.parsing import parse_definition
from karman_core.engine.views import AttemptView, GroupView, RunView, StateView, TotalsView

RUN = RunView("default", "r1", "sums", 1, "RUNNING", 0, 1_000, 1_000, None, 9_999, {}, TotalsView())
STATE = StateView("r1", "r1-0", "many", "numbers", "", 0, "SUCCEEDED", started_ms=1_000, ended_ms=1_001)
FIRST = AttemptView(1, 1_000, 1_004, "ValueError", "wrong", "Traceback ...\n")
SECOND = AttemptView(2, 1_010, 1_014, "ValueError", "still wrong", "Traceback ...\n")
GRAPH = parse_definition(
    {
        "name": "sums",
        "nodes": [
            {"identifier": "many", "node_name": "numbers", "next_nodes": ["each"]},
            {"identifier": "each", "node_name": "double", "next_nodes": ["total"]},
            {"identifier": "total", "node_name": "add_up", "unites": {"identifier": "many"}},
        ],
    }
)


def branch(index: int, status: str, *attempts: AttemptView) -> StateView:
    state = replace(STATE, state_id=f"r1-0.{index}-0", identifier="each", branch=f"0.{index}", status=status)
    return replace(state, attempts=attempts)


def texts(state: StateView) -> list[str]:
    return [event.text for event in state_events(state)]


def test_a_run_begins_first_and_ends_last() -> None:
    ended = replace(RUN, status="SUCCEEDED", ended_ms=1_001)
    events = in_order([*state_events(STATE), *reversed(list(run_events(ended)))])

    assert [event.kind for event in events] == ["run_began", "state_began", "state_ended", "run_ended"]
    assert [event.where for event in events] == ["run", "many", "many", "run"]
    assert events[-1].text == "SUCCEEDED in 1 ms"


def test_a_run_that_waits_for_its_turn_has_not_begun() -> None:
    queued = replace(RUN, status="QUEUED", queued_for="a slot (of 1 for runs of the graph)")

    (event,) = run_events(queued)
    assert (event.kind, event.text) == (
        "run_queued",
        "queued: sums v1; waits for a slot (of 1 for runs of the graph)",
    )


def test_each_attempt_is_told() -> None:
    failed = replace(STATE, status="FAILED", attempts=(FIRST, SECOND), started_ms=1_010, ended_ms=1_014)
    events = in_order(list(state_events(failed)))

    assert [(event.at_ms, event.text) for event in events] == [
        (1_000, "began"),
        (1_004, "attempt 1 failed: ValueError: wrong"),
        (1_010, "began again, attempt 2"),
        (1_014, "attempt 2 failed: ValueError: still wrong"),
        (1_014, "FAILED in 4 ms"),
    ]
    assert events[1].traceback == "Traceback ...\n"


def test_what_a_state_waits_for() -> None:
    waiting = replace(STATE, status="WAITING", awaiting="approve")
    requeued = replace(STATE, status="QUEUED", due_ms=60_000)
    unseen = replace(STATE, status="QUEUED", started_ms=None, ended_ms=None)

    assert texts(waiting) == ["began", "waits for the signal 'approve'"]
    assert texts(requeued)[1].startswith("to run again at 1970-01-0")
    assert texts(replace(STATE, width=1_234))[1] == "SUCCEEDED in 1 ms, 1,234 branches"
    assert texts(unseen) == []


def row(progress: Progress, identifier: str) -> Row:
    return next(each for each in progress.rows() if each.identifier == identifier)


def test_progress_is_counted_anew_and_failures_are_told_once() -> None:
    progress = Progress(GRAPH)
    many = replace(STATE, width=4)
    states = [many, branch(0, "SUCCEEDED"), branch(1, "RETRYING", FIRST), branch(2, "RUNNING")]
    progress.recount(states)
    progress.recount(states)
    retrying = row(progress, "each")
    progress.recount([many, branch(0, "SUCCEEDED"), branch(1, "FAILED", FIRST, SECOND)])

    assert (retrying.done, retrying.running, retrying.retries, retrying.total) == (1, 1, 1, 4)
    assert (row(progress, "each").done, row(progress, "each").failed) == (2, 1)
    assert [(each.attempt, each.final) for each in progress.failures] == [(1, False), (2, True)]


def test_failures_before_a_retry_are_not_told_again() -> None:
    progress = Progress(GRAPH)
    progress.recount([branch(1, "RETRYING", FIRST, SECOND)], after_ms=1_004)

    assert [each.attempt for each in progress.failures] == [2]


def test_groups_tell_of_branches_that_were_not_read() -> None:
    progress = Progress(GRAPH)
    progress.recount([replace(STATE, width=5_000), branch(0, "SUCCEEDED"), branch(1, "SUCCEEDED")])
    progress.take_groups([GroupView("r1-0", "many", 5_000, 3_000, 20, 1, 1_979, ended=False)])
    each = row(progress, "each")

    assert (each.done, each.failed, each.total) == (3_021, 20, 5_000)
