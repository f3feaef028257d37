"""Commands that operate runs do the same on a database file and on a server."""

import re
import signal
from pathlib import Path

import pytest

from tests.cli.command_line import finish, karman, start, wait_for_line, write
from tests.cli.live import Place, lines
from tests.cli.terminal import on_terminal


def test_a_run_is_triggered_and_followed_to_its_end(place: Place) -> None:
    output = place("trigger", "sums", "-i", "count=3", "--store", "folder=.", "--wait")

    assert (output.code, output.document) == (0, {"result": 6})
    assert re.match(r"run \w+\n", output.err)
    assert "each: 3 of 3 done\n" in output.err
    assert "total: 1 of 1 done\nSUCCEEDED sums " in output.err


def test_a_run_that_fails_is_told_with_its_reason_and_what_to_do(place: Place) -> None:
    output = place("trigger", "sums", "-i", "count=5", "--store", "folder=.", "--wait")
    run = output.err.split()[1]

    assert (output.code, output.out) == (1, "")
    assert "each failed (attempt 2): ValueError: three is broken\n" in output.err
    assert "error: each failed after 2 attempts: ValueError: three is broken\n" in output.err
    assert f"karman logs {run}\n" in output.err
    assert f"karman retry {run} --wait\n" in output.err


def test_inputs_are_fitted_to_the_first_node(place: Place) -> None:
    document = place.document("trigger", "greeting", "-i", "name=5", "-i", "times=2", "--wait")

    assert document["result"] == {"result": "Hello, 5! Hello, 5!"}


def test_how_a_run_begins(place: Place) -> None:
    begin = ("trigger", "greeting", "-i", "name=a", "--tag", "customer=42", "--delay", "3600")
    arguments = (*begin, "--timeout", "60", "--idempotency-key", f"key-{place.kind}")
    first, second = place.document(*arguments), place.document(*arguments)
    run = place.document("show", first["run_id"])["run"]
    other = place(*arguments, "-i", "times=2", "--json")
    cancelled = place.document("cancel", first["run_id"])

    assert first == {"run_id": second["run_id"], "created": True}
    assert second["created"] is False
    assert (run["status"], run["tags"]) == ("QUEUED", {"customer": "42"})
    assert run["starts_ms"] - run["created_ms"] == 3_600_000
    assert run["deadline_ms"] - run["starts_ms"] == 60_000
    assert (other.code, other.document["error"]["code"]) == (2, "conflict")
    assert cancelled["status"] == "CANCELLED"


@pytest.mark.parametrize("status", ["CANCELLED", "TIMED_OUT"])
def test_the_exit_code_tells_the_outcome(place: Place, status: str) -> None:
    arguments = ("trigger", "approval", "-i", "question=now?", "--wait", "--json")
    if status == "TIMED_OUT":
        output = place(*arguments, "--timeout", "0.2")
        assert (output.code, output.document["status"]) == (4, "TIMED_OUT")
        return
    process = start("trigger", "approval", "-i", "question=now?", "--wait", **place.env)
    run = wait_for_line(process, "run ").split()[1]
    wait_for_line(process, "waiting for the signal 'approve'")
    place("cancel", run)
    assert finish(process).code == 3


def test_a_signal_wakes_a_run_that_waits(place: Place) -> None:
    run = place.waiting()
    sent = place("signal", run, "approve", "--payload", '{"yes": true}')
    output = place("logs", run, "--follow")

    assert sent.err == f"sent the signal 'approve' to run {run}\n"
    assert output.out.splitlines()[-1].endswith("run  SUCCEEDED in " + output.out.rsplit("in ", 1)[1].strip())
    assert place.document("show", run)["run"]["result"] == {"answer": {"yes": True}}


def test_a_run_is_paused_resumed_and_cancelled(place: Place) -> None:
    run = place.waiting()

    assert place.document("pause", run)["status"] == "PAUSED"
    assert place.document("resume", run)["status"] == "WAITING"
    assert place("cancel", run).out.startswith(f"CANCELLED approval {run}: ")
    assert place("pause", run).err == f"error: Run '{run}' has ended: CANCELLED.\n"


def test_a_failed_run_is_mended_and_retried(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    Path("mended").touch()
    output = place("retry", run, "--wait")

    assert (output.code, output.document) == (0, {"result": 20})


def test_one_failed_state_is_retried(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    (state,) = (each for each in place.document("show", run)["states"] if each["status"] == "FAILED")
    assert f"state {state['state_id']} " in place("show", run).out
    Path("mended").touch()
    output = place("retry", run, "--state", state["state_id"], "--wait")
    again = place("retry", run, "--state", state["state_id"])

    assert (output.code, output.document) == (0, {"result": 20})
    assert "three is broken" not in output.err
    assert (again.code, "only a FAILED run can be retried" in again.err) == (2, True)


def test_a_run_is_run_again_from_a_state(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    Path("mended").touch()
    output = place("rerun", run, "--from", "many", "--input", "count=4", "--wait")
    new = output.err.split()[1]
    key = ("--idempotency-key", f"again-{run}")
    first, second = (place.document("rerun", run, "--from", "many", *key) for _ in range(2))
    unknown = place("rerun", run, "--from", "nowhere")
    later = place("rerun", new, "--from", "total", "--input", "numbers=[1, 2]", "--wait")

    assert (output.code, output.document) == (0, {"result": 12})
    assert (later.code, later.document) == (0, {"result": 3}), later.err
    assert new != run
    assert place.document("show", new)["run"]["inputs"] == {"count": 4}
    assert (first["created"], second["created"]) == (True, False)
    assert first["run_id"] == second["run_id"]
    assert unknown.code == 2


def test_inputs_of_a_rerun_are_fitted_to_the_state_that_its_id_names(place: Place) -> None:
    name = f"twice-{place.kind}"
    second = "- identifier: two\n  node_name: greet\n  inputs: {name: '${{ one.outputs.result }}'}\n"
    write(
        "graph.yaml",
        f"name: {name}\nnodes:\n- identifier: one\n  node_name: greet\n  next_nodes: [two]\n{second}",
    )
    assert place("apply", "graph.yaml", "--yes").code == 0
    run = place.document("trigger", name, "-i", "name=a", "--wait")["run_id"]
    again = place("rerun", run, "--from", f"{run}--1", "-i", "name=5", "--wait")
    unknown = place("rerun", run, "--from", f"{run}--7", "-i", "name=5")

    assert (again.code, again.document) == (0, {"result": "Hello, 5!"}), again.err
    assert (unknown.code, "can be run again from: one, two" in unknown.err) == (2, True), unknown.err


def test_many_runs_are_operated_by_filter(place: Place) -> None:
    tag = f"test=many-{place.kind}"
    runs = [place.waiting("--tag", tag) for _ in range(3)]
    tried = place.document("pause", "--all", "--tag", tag, "--dry-run")
    unasked = place("pause", "--all", "--tag", tag)
    paused = place.document("pause", "--all", "--tag", tag, "--yes")
    table = place("runs", "--tag", tag, "--status", "paused").out
    resumed = place("resume", "--all", "--tag", tag, "--graph", "approval", "--yes")
    cancelled = place("cancel", "--all", "--tag", tag, "--since", "1h", "--yes")
    none = place("cancel", "--all", "--tag", tag)
    refused = place("pause", "--all", "--tag", tag, "--status", "cancelled", "--yes")

    assert tried == {"action": "pause", "dry_run": True, "runs": runs[::-1], "refused": []}
    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    assert paused["runs"] == runs[::-1]
    assert table.count("PAUSED") == 3
    assert (resumed.code, resumed.err) == (0, "3 runs resumed\n")
    assert cancelled.out.split() == runs[::-1]
    assert (none.code, none.err) == (0, "0 runs cancelled\n")
    assert (refused.code, refused.err) == (1, "0 runs paused\n3 runs refused:\n")
    assert f"Run '{runs[0]}' has ended: CANCELLED." in refused.out


def test_failed_runs_are_retried_together(place: Place, empty_folder: Path) -> None:
    tag = f"test=retried-{place.kind}"
    runs = [place.failed(empty_folder, tag) for _ in range(2)]
    Path("mended").touch()
    retried = place("retry", "--all", "--status", "failed", "--tag", tag, "--yes")

    assert (retried.err, retried.out.split()) == ("2 runs retried\n", runs[::-1])
    for run in runs:
        assert place("logs", run, "--follow").code == 0
        assert place.document("show", run)["run"]["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_it_asks_before_it_operates_many(place: Place, answer: str, code: int) -> None:
    tag = f"test=asked-{place.kind}-{answer}"
    run = place.waiting("--tag", tag)
    arguments = ("cancel", "--all", "--tag", tag)
    output = on_terminal(*arguments, question="[y/N]: ", answer=answer, env=place.env)
    where = place.env.get("KARMAN_URL") or f"database {place.env['KARMAN_DB']}"

    assert f"Cancel 1 run on {where}, namespace 'default'? [y/N]" in output.out
    assert output.code == code
    assert place.document("show", run)["run"]["status"] == ("CANCELLED" if code == 0 else "WAITING")


def test_a_run_is_shown_with_its_states(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    shown = place("show", run, "--all").out
    document = place.document("show", run)
    failed = [state for state in document["states"] if state["status"] == "FAILED"]

    assert "attempt 2: ValueError: three is broken" in shown
    assert "[4] each" in shown
    assert [len(state["attempts"]) for state in failed] == [2]
    assert document["run"]["error"] == "each: ValueError: three is broken"


def test_the_log_of_a_run_is_in_the_order_of_time(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    text = place("logs", run).out
    events = place.document("logs", run)["events"]
    kinds = [event["kind"] for event in events if event["branch"] == "0.3"]

    assert [event["at_ms"] for event in events] == sorted(event["at_ms"] for event in events)
    assert (events[0]["kind"], events[-1]["kind"]) == ("run_began", "run_ended")
    assert sorted(kinds) == [
        "attempt_began",
        "attempt_failed",
        "attempt_failed",
        "state_began",
        "state_ended",
    ]
    assert "each 0.3  attempt 1 failed: ValueError: three is broken\n" in text
    assert '        raise ValueError("three is broken")\n' in text
    assert "many  SUCCEEDED in " in text
    assert "5 branches" in text
    assert text.splitlines()[-1].endswith(": each: ValueError: three is broken")


def test_a_run_is_followed_event_by_event(place: Place) -> None:
    run = place.waiting()
    process = start("logs", run, "--follow", "--json", **place.env)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(3)]
    place("signal", run, "approve")
    output = finish(process)

    assert [event["kind"] for event in lines("".join(first))] == ["run_began", "state_began", "state_waits"]
    assert lines(output.out)[-1]["kind"] == "run_ended"
    assert output.code == 0


def test_ctrl_c_ends_the_waiting_and_not_the_run(place: Place) -> None:
    process = start("trigger", "approval", "-i", "question=now?", "--wait", **place.env)
    run = wait_for_line(process, "run ").split()[1]
    wait_for_line(process, "waiting for the signal 'approve'")
    process.send_signal(signal.SIGINT)
    output = finish(process)

    assert output.code == 130
    assert output.err.endswith(f"the run goes on; to follow it:\n  karman logs {run} --follow\n")
    assert place.document("cancel", run)["status"] == "CANCELLED"


def test_runs_are_listed(place: Place, empty_folder: Path) -> None:
    runs = [place.failed(empty_folder, f"test=listed-{place.kind}", tag) for tag in ("a=1", "a=2")]

    def found(*arguments: str) -> list[str]:
        listed = place.document("runs", "--tag", f"test=listed-{place.kind}", *arguments)["runs"]
        return [run["run_id"] for run in listed]

    assert found("--graph", "sums", "--status", "failed", "--since", "1h") == [runs[1], runs[0]]
    assert found("--tag", "a=1") == [runs[0]]
    assert found("--status", "succeeded") == []
    assert found("--until", "1h") == []
    assert found("--limit", "1") == [runs[1]]
    none = place("runs", "--graph", "sums", "--since", "2099-01-01")
    assert (none.code, none.err) == (0, "no runs\n")


def test_keys_are_made_listed_rotated_and_deleted(place: Place) -> None:
    made = place.document("keys", "create", "ci", "--scope", "read")
    rotated = place.document("keys", "rotate", made["id"], "--overlap", "0s")
    listed = place("keys")
    deleted = place("keys", "delete", made["id"])

    assert made["key"].startswith(f"karman.default.{made['id']}.")
    assert rotated["key"] != made["key"]
    assert made["id"] in listed.out
    assert made["key"] not in listed.out
    assert rotated["key"] not in listed.out
    assert deleted.err == f"key {made['id']} is revoked\n"
    assert place("keys", "delete", made["id"]).code == 2


def test_triggers_are_listed_and_fired(place: Place) -> None:
    (trigger,) = place.document("triggers")["triggers"]
    upcoming = place.document("triggers", "next", "--limit", "7")["next"]
    fired = place("triggers", "fire", "greeting", "nightly").out.strip()
    unknown = place("triggers", "fire", "greeting", "daily")

    assert (trigger["graph"], trigger["trigger"], len(trigger["next_ms"])) == ("greeting", "nightly", 3)
    assert [each["at_ms"] for each in upcoming[:3]] == trigger["next_ms"]
    assert len(upcoming) == 7
    assert place.document("show", fired)["run"]["inputs"] == {"name": "cron"}
    assert unknown.err == "error: Graph 'greeting' has no trigger 'daily'.\n"


def test_a_graph_is_applied_after_its_difference_was_shown(place: Place) -> None:
    name = f"applied_{place.kind}"
    text = f"name: {name}\nnodes:\n- identifier: one\n  node_name: greet\n"
    write("graph.yaml", text)
    tried = place("apply", "graph.yaml", "--dry-run")
    unasked = place("apply", "graph.yaml")
    first = place("apply", "graph.yaml", "--yes")
    write("graph.yaml", text.replace("one", "two"))
    second = place("apply", "graph.yaml", "--yes")
    same = place("apply", "graph.yaml")

    assert (tried.code, tried.err) == (0, "nothing was stored (--dry-run)\n")
    assert unasked.code == 2
    assert "add --yes" in unasked.err
    assert f"+name: {name}\n" in first.out
    assert first.err == f"graph '{name}' is version 1 now\n"
    assert "-- identifier: one\n+- identifier: two\n" in second.out
    assert (same.code, same.err) == (0, f"graph '{name}' is as stored, version 2\n")


def test_a_graph_is_deleted(place: Place) -> None:
    name = f"deleted_{place.kind}"
    write("graph.yaml", f"name: {name}\nnodes:\n- identifier: one\n  node_name: greet\n")
    place("apply", "graph.yaml", "--yes")
    unasked = place("graph", "delete", name)
    deleted = place("graph", "delete", name, "--yes")
    again = place("graph", "delete", name, "--yes")

    assert (unasked.code, "add --yes" in unasked.err) == (2, True)
    assert (deleted.code, deleted.err) == (0, f"graph '{name}' is deleted\n")
    assert (again.code, again.err) == (2, f"error: There is no graph '{name}' in namespace 'default'.\n")


def test_a_trigger_is_disabled_and_enabled(place: Place) -> None:
    name = f"timed_{place.kind}"
    trigger = 'triggers: [{name: often, value: {expression: "0 0 1 1 *", inputs: {name: cron}}}]'
    write("graph.yaml", f"name: {name}\n{trigger}\nnodes:\n- identifier: one\n  node_name: greet\n")
    applied = place("apply", "graph.yaml", "--yes")
    disabled = place("triggers", "disable", name, "often")
    fired = place("triggers", "fire", name, "often")
    enabled = place.document("triggers", "enable", name, "often")
    unknown = place("triggers", "enable", name, "seldom")
    place("graph", "delete", name, "--yes")

    assert applied.code == 0, applied
    assert disabled.err == f"trigger 'often' of graph '{name}' is disabled\n"
    assert (fired.code, "is disabled" in fired.err) == (2, True)
    assert (enabled["enabled"], len(enabled["next_ms"])) == (True, 5)
    assert (unknown.code, unknown.err) == (2, f"error: Graph '{name}' has no trigger 'seldom'.\n")


def test_runs_are_counted(place: Place, empty_folder: Path) -> None:
    place.failed(empty_folder)
    found = place.document("stats", "--graph", "sums", "--since", "1h")
    table = place("stats", "--graph", "sums").out
    none = place("stats", "--until", "2000-01-01")

    assert found["by_status"]["FAILED"] >= 1
    assert found["failures"][0]["identifier"] == "each"
    assert re.search(r"FAILED +\d+", table)
    assert re.search(r"states +\d+ succeeded, \d+ failed", table)
    assert (none.code, none.err) == (0, "no runs\n")


def test_a_graph_whose_secrets_have_no_value_is_not_applied(place: Place) -> None:
    write("graph.yaml", "name: secretive\nsecrets: [token]\nnodes:\n- identifier: a\n  node_name: greet\n")
    without = place("apply", "graph.yaml", "--yes")
    given = place("apply", "graph.yaml", "--dry-run", "--secret", "token=hush")

    assert without.code == 2
    assert "reads secrets that have no value: token" in without.err
    assert given.code == 0
    assert "hush" not in given.out + given.err


def test_a_run_that_does_not_exist(place: Place) -> None:
    commands = ("cancel r1", "pause r1", "resume r1", "retry r1", "retry r1 --wait", "show r1", "logs r1 -f")
    for command in (*commands, "signal r1 s", "rerun r1 --from one"):
        output = place(*command.split(), "--json")
        assert (output.code, output.document["error"]["code"]) == (2, "not_found"), command
        assert "'r1'" in output.document["error"]["message"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cancel", "name a RUN, or choose many with --all"),
        ("cancel r1 --all", "name one RUN, or choose many"),
        ("pause --status failed", "name a RUN, or choose many with --all"),
        ("resume r1 --since 1d", "name one RUN, or choose many"),
        ("retry --all --wait", "--state and --wait take one RUN"),
        ("rerun r1", "Missing option '--from'"),
        ("cancel --all --status over", "--status is one of QUEUED, "),
    ],
)
def test_which_runs_are_meant_must_be_said(command: str, message: str) -> None:
    output = karman(*command.split())

    assert output.code == 2
    assert message in output.err
