"""`karman skip`, `redrive`, `purge` and `audit` do the same on a database file and on a server."""

import json
from pathlib import Path

import pytest

from tests.cli.command_line import karman
from tests.cli.live import Place


def test_a_failed_state_is_skipped(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    (state,) = (each for each in place.document("show", run)["states"] if each["status"] == "FAILED")
    misfit = place("skip", run, state["state_id"], "--output", '{"result": "text"}')
    skipped = place.document("skip", run, state["state_id"], "--output", '{"result": 100}')
    ended = place("logs", run, "--follow")
    shown = place("show", run)
    again = place("skip", run, state["state_id"])

    assert (misfit.code, "outputs[0].result: It must be of type integer" in misfit.err) == (2, True)
    by = skipped["skipped_by"]
    assert (skipped["status"], by.partition(":")[0]) == (
        "SUCCEEDED",
        "local" if place.kind == "file" else "key",
    )
    assert "SUCCEEDED" in ended.out
    assert f"skipped by {by}" in shown.out
    assert place.document("show", run)["run"]["result"] == {"result": 114}
    assert (again.code, "has ended: SUCCEEDED" in again.err) == (2, True)


def test_a_state_that_waits_is_skipped_with_nothing(place: Place) -> None:
    run = place.waiting()
    (state,) = place.document("show", run)["states"]
    skipped = place("skip", run, state["state_id"])
    place("logs", run, "--follow")

    assert (skipped.code, skipped.err) == (0, f"state {state['state_id']} of run {run} is skipped\n")
    assert place.document("show", run)["run"]["status"] == "SUCCEEDED"


def test_a_run_is_redriven(place: Place) -> None:
    run = place.waiting()
    redriven = place("redrive", run)
    told = place.document("redrive", run)
    place("cancel", run)
    ended = place("redrive", run)

    assert (redriven.code, redriven.err) == (0, f"sent 1 message of run {run} again\n")
    assert told == {"run_id": run, "sent": 1}
    assert (ended.code, "has ended: CANCELLED" in ended.err) == (2, True)


def test_runs_are_purged(place: Place) -> None:
    tag = f"test=purged-{place.kind}"
    runs = [place.waiting("--tag", tag) for _ in range(3)]
    going_on = place("purge", runs[0], "--yes")
    place("cancel", "--all", "--tag", tag, "--yes")
    unasked = place("purge", runs[0])
    one = place("purge", runs[0], "--yes")
    gone = place("show", runs[0])
    tried = place.document("purge", "--all", "--tag", tag, "--dry-run")
    many = place.document("purge", "--all", "--tag", tag, "--yes")
    none = place("runs", "--tag", tag)

    assert (going_on.code, "cancel it before it is purged" in going_on.err) == (2, True)
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    assert (one.code, one.err) == (0, f"run {runs[0]} is purged\n")
    assert (gone.code, "was purged" in gone.err) == (2, True)
    assert tried["runs"] == many["runs"] == [runs[2], runs[1]]
    assert none.err == "no runs\n"


def test_what_was_done_is_told(place: Place) -> None:
    run = place.waiting()
    place("pause", run)
    place("cancel", run)
    place("resume", run)
    entries = place.document("audit", "--run", run)["entries"]
    table = place("audit", "--run", run, "--since", "1h", "--limit", "1").out
    none = place("audit", "--run", run, "--until", "1h")

    assert [(each["action"], each["result"]) for each in entries] == [
        ("resume", "conflict"),
        ("cancel", "done"),
        ("pause", "done"),
    ]
    assert {each["by"].partition(":")[0] for each in entries} == {"local" if place.kind == "file" else "key"}
    assert table.split("\n")[1].split()[-3:] == ["resume", run, "conflict"]
    assert (none.code, none.err) == (0, "no entries\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("skip", "r1"), "Missing argument 'STATE'"),
        (("skip", "r1", "s1", "--output", "[]"), "--output takes a JSON object"),
        (("purge",), "name a RUN, or choose many with --all"),
        (("audit", "--since", "never"), "--since takes an age"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], message: str) -> None:
    output = karman(*arguments)

    assert output.code == 2
    assert message in output.err


def test_errors_as_documents(place: Place) -> None:
    for command in ("skip r1 r1--0", "redrive r1", "purge r1 --yes"):
        output = place(*command.split(), "--json")
        assert (output.code, json.loads(output.out)["error"]["code"]) == (2, "not_found"), command
