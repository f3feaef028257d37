"""`karman show`: a run and the tree of its states."""

import re
from dataclasses import replace

import pytest

from karman_cli.showing import print_lines
from karman_cli.state_tree import StateTree, branch_path
from karman_core.engine.views import StateView
from tests.cli.command_line import SUMS, karman, write


def failed_run(count: int, *arguments: str) -> str:
    write("sums.py", SUMS)
    run = karman(
        "run", "sums.py", "-i", f"count={count}", "-i", "wrong=1", "--db", "runs.db", "--json"
    ).document
    return karman("show", run["run_id"], "--db", "runs.db", *arguments).out


def test_the_header_and_each_state_of_a_narrow_group() -> None:
    shown = failed_run(3)

    assert re.search(r"status +FAILED", shown)
    assert re.search(r"graph +sums v1", shown)
    assert re.search(r'inputs +\{"count": 3, "wrong": 1\}', shown)
    assert re.search(r"states +3 succeeded, 1 failed", shown)
    assert re.search(r"^many +SUCCEEDED .*3 branches", shown, re.MULTILINE)
    assert re.search(r"^  \[0\] each +SUCCEEDED", shown, re.MULTILINE)
    assert re.search(r"^  \[1\] each +FAILED", shown, re.MULTILINE)
    assert "ValueError: a negative number" in shown
    assert "sums.py, line 12, in double" in shown


def test_a_wide_group_is_counted_and_its_failures_are_listed() -> None:
    shown = failed_run(50)

    assert re.search(r"^  each +49 SUCCEEDED, 1 FAILED", shown, re.MULTILINE)
    assert len(re.findall(r"^ +each +FAILED", shown, re.MULTILINE)) == 1


def test_everything_on_demand() -> None:
    shown = failed_run(50, "--all")

    assert len(re.findall(r"^  \[\d+\] each ", shown, re.MULTILINE)) == 50
    assert "attempt 1: ValueError: a negative number" in shown


def test_tracebacks_on_demand() -> None:
    assert 'raise ValueError("a negative number")' in failed_run(3, "--traceback")


def test_with_json_run_and_states_are_data() -> None:
    write("sums.py", SUMS)
    run = karman("run", "sums.py", "-i", "count=3", "--db", "runs.db", "--json").document
    shown = karman("show", run["run_id"], "--db", "runs.db", "--json").document

    assert shown["run"]["result"] == {"result": 6}
    assert [state["identifier"] for state in shown["states"]].count("each") == 3
    assert shown["states"][0]["width"] == 3


def test_what_has_ended_is_not_said_to_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    tree = StateTree(everything=False)
    tree.add(replace(state("", 0, "retried", "CANCELLED"), due_ms=60_000))
    tree.add(replace(state("", 1, "waits", "RETRYING"), due_ms=60_000))
    print_lines(list(tree.lines()), everything=False, traceback=False)

    cancelled, waits = capsys.readouterr().out.strip().splitlines()
    assert ("again at" in cancelled, "again at" in waits) == (False, True)


def state(
    branch: str, number: int, identifier: str, status: str = "SUCCEEDED", width: int | None = None
) -> StateView:
    return StateView(
        run_id="r",
        state_id="s",
        identifier=identifier,
        node_name="N",
        branch=branch,
        number=number,
        status=status,
        width=width,
    )


def lines(*states: StateView, everything: bool = False) -> list[str]:
    tree = StateTree(everything=everything)
    for each in states:
        tree.add(each)
    return [
        f"{'  ' * line.depth}{line.identifier} {dict(line.statuses)}{'' if line.index is None else f' #{line.index}'}"
        for line in tree.lines()
    ]


def test_the_path_of_a_branch() -> None:
    assert branch_path("") == ()
    assert branch_path("2.17/0.3") == ((2, 17), (0, 3))


def test_nested_groups_are_nested() -> None:
    assert lines(
        state("", 0, "a", width=2),
        state("0.0", 0, "b", width=1),
        state("0.0/0.0", 0, "c"),
        state("0.0", 1, "d"),
        state("0.1", 0, "b", "RUNNING"),
        state("", 1, "e"),
    ) == [
        "a {'SUCCEEDED': 1}",
        "  b {'SUCCEEDED': 1} #0",
        "    c {'SUCCEEDED': 1} #0",
        "  d {'SUCCEEDED': 1}",
        "  b {'RUNNING': 1} #1",
        "e {'SUCCEEDED': 1}",
    ]


def test_groups_inside_a_wide_group_are_counted_with_it() -> None:
    branches = [
        each
        for index in range(11)
        for each in (
            state(f"0.{index}", 0, "b", width=2),
            state(f"0.{index}/0.0", 0, "c"),
            state(f"0.{index}/0.1", 0, "c", "FAILED" if index < 7 else "SUCCEEDED"),
            state(f"0.{index}", 1, "d"),
        )
    ]
    shown = lines(state("", 0, "a", width=11), *branches, state("", 1, "e"))

    assert shown == [
        "a {'SUCCEEDED': 1}",
        "  b {'SUCCEEDED': 11}",
        "    c {'SUCCEEDED': 15, 'FAILED': 7}",
        *["      c {'FAILED': 1}"] * 5,
        "  d {'SUCCEEDED': 11}",
        "e {'SUCCEEDED': 1}",
    ]
