"""What is shown of a run in progress."""

import pytest

from karman_cli.displays import LiveDisplay, NoDisplay, PlainDisplay, make_display
from karman_cli.progress import Progress
from karman_core.domain.definition import GraphDefinition
from karman_core.engine.views import StateView
from karman_core.ports.observer import GroupOpened, RunEnded, StateBegan, StateCommitted

NODES = [
    {"identifier": "split", "node_name": "N", "next_nodes": ["fetch"]},
    {"identifier": "fetch", "node_name": "N", "next_nodes": ["parse"]},
    {"identifier": "parse", "node_name": "N", "next_nodes": ["join"]},
    {"identifier": "join", "node_name": "N", "next_nodes": ["report"], "unites": {"identifier": "split"}},
    {"identifier": "report", "node_name": "N"},
]


@pytest.fixture
def progress() -> Progress:
    made = Progress(GraphDefinition.model_validate({"name": "g", "nodes": NODES}))
    made.run_id = "r"
    return made


def began(identifier: str, state: str, run: str = "r") -> StateBegan:
    return StateBegan("default", run, state, identifier, 1)


def committed(
    identifier: str, state: str, status: str = "SUCCEEDED", error: str | None = None
) -> StateCommitted:
    return StateCommitted("default", "r", state, identifier, status, 1, error)


def opened(progress: Progress, width: int) -> None:
    progress.observe(began("split", "0"))
    progress.observe(committed("split", "0"))
    progress.observe(GroupOpened("default", "r", "split", (("fetch", width),)))


def totals(progress: Progress) -> dict[str, tuple[int, int]]:
    return {row.identifier: (row.done, row.total) for row in progress.rows()}


def test_what_runs_in_a_group_is_shown_below_what_opens_it(progress: Progress) -> None:
    assert [(row.identifier, row.depth) for row in progress.rows()] == [
        ("split", 0),
        ("fetch", 1),
        ("parse", 1),
        ("join", 0),
        ("report", 0),
    ]


def test_totals_are_known_when_the_group_is(progress: Progress) -> None:
    assert totals(progress)["parse"] == (0, 1)
    opened(progress, 100)

    assert totals(progress) == {
        "split": (1, 1),
        "fetch": (0, 100),
        "parse": (0, 100),
        "join": (0, 1),
        "report": (0, 1),
    }


def test_what_failed_is_not_followed(progress: Progress) -> None:
    opened(progress, 10)
    for index in range(4):
        progress.observe(committed("fetch", str(index), "FAILED", "ValueError: no"))
    progress.observe(committed("fetch", "5", "PRUNED"))

    assert totals(progress)["fetch"] == (5, 10)
    assert totals(progress)["parse"] == (0, 5)


def test_a_state_runs_until_it_is_committed(progress: Progress) -> None:
    progress.observe(began("split", "0"))
    progress.observe(began("split", "0"))  # delivered again
    assert progress.rows()[0].running == 1
    progress.observe(committed("split", "0"))

    assert progress.rows()[0].running == 0


def test_a_state_waits_until_it_runs_again(progress: Progress) -> None:
    progress.observe(committed("split", "0", "WAITING"))
    assert progress.rows()[0].waiting == 1
    progress.observe(began("split", "0"))

    assert progress.rows()[0].waiting == 0


def test_other_runs_do_not_count(progress: Progress) -> None:
    progress.observe(began("split", "0", run="other"))

    assert progress.rows()[0].running == 0


def test_the_end_is_noted(progress: Progress) -> None:
    progress.observe(RunEnded("default", "r", "SUCCEEDED"))

    assert progress.status == "SUCCEEDED"


def test_states_of_an_earlier_process_count(progress: Progress) -> None:
    def view(identifier: str, status: str, width: int | None = None) -> StateView:
        return StateView("r", "s", identifier, "N", "", 0, status, width=width)

    progress.recall(view("split", "SUCCEEDED", width=20))
    progress.recall(view("fetch", "SUCCEEDED"))
    progress.recall(view("fetch", "QUEUED"))

    assert totals(progress)["fetch"] == (1, 20)
    assert totals(progress)["split"] == (1, 1)


def test_plain_lines_tell_what_has_changed(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    with PlainDisplay(progress) as display:
        display.refresh()
        opened(progress, 2)
        display.refresh()
        display.refresh()
        progress.observe(committed("fetch", "1", "RETRYING", "ValueError: no"))
        display.say("something else")

    assert capsys.readouterr().err.splitlines() == [
        "split: 1 of 1 done",
        "something else",
        "fetch failed (attempt 1): ValueError: no; it is tried again",
        "fetch: 0 of 2 done, 1 tried again",
    ]


def test_of_very_many_failures_the_first_are_told(
    progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(progress, 5_000)
    with PlainDisplay(progress) as display:
        for index in range(3_000):
            progress.observe(committed("fetch", str(index), "FAILED", f"ValueError: {index}"))
            if index % 1_500 == 0:
                display.refresh()

    told = [line for line in capsys.readouterr().err.splitlines() if "ValueError" in line]
    assert len(told) == 20


def test_the_live_tree(
    progress: Progress, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    opened(progress, 100)
    for index in range(50):
        progress.observe(committed("fetch", str(index)))
    progress.observe(committed("fetch", "x", "FAILED", "ValueError: [no]"))
    with LiveDisplay(progress):
        pass
    shown = capsys.readouterr().err

    assert "fetch failed (attempt 1): ValueError: [no]" in shown
    assert "✓ split" in shown
    assert f"  ✗ fetch  {'█' * 12}{'░' * 12} 51 of 100 done, 1 failed" in shown
    assert "· join" in shown


def test_the_display_fits_where_it_goes(progress: Progress) -> None:
    assert isinstance(make_display(progress, quiet=True, terminal=True), NoDisplay)
    assert isinstance(make_display(progress, quiet=False, terminal=False), PlainDisplay)
    assert isinstance(make_display(progress, quiet=False, terminal=True), LiveDisplay)
