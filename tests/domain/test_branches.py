from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from karman_core.domain.branches import ROOT, Branch, branch_text, parse_branch, parse_state_id, state_id
from tests.domain.positions import branches, numbers, run_ids

BRANCH = re.compile(r"|(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(/(0|[1-9][0-9]*)\.(0|[1-9][0-9]*))*")
texts = st.text(st.sampled_from("0123456789./_- ٣a"), max_size=12) | st.text(max_size=12)


def test_a_branch_is_spelled_by_the_forks_above_it() -> None:
    assert branch_text(ROOT) == ""
    assert branch_text(((3, 17), (5, 2))) == "3.17/5.2"
    assert state_id("run-1", ROOT, 0) == "run-1--0"
    assert state_id("run-1", ((3, 17), (5, 2)), 4) == "run-1-3.17_5.2-4"


@given(branches)
def test_a_branch_is_read_back_from_its_text(branch: Branch) -> None:
    assert parse_branch(branch_text(branch)) == branch


@given(branches, branches)
def test_texts_of_different_branches_differ(one: Branch, other: Branch) -> None:
    assert (branch_text(one) == branch_text(other)) == (one == other)


@given(texts)
@example("03.4")
@example("1.2/")
@example("1.2.3")
def test_all_other_texts_are_no_branch(text: str) -> None:
    if BRANCH.fullmatch(text):
        assert branch_text(parse_branch(text)) == text
    else:
        with pytest.raises(ValueError, match="not a branch"):
            parse_branch(text)


places = st.tuples(run_ids, branches, numbers)


@given(places)
@example(("a\nb-1", ((1, 0),), 2))
def test_a_state_id_is_read_back(place: tuple[str, Branch, int]) -> None:
    assert parse_state_id(state_id(*place)) == place


@given(places, places)
@example(("a", (), 0), ("a-", (), 0))
@example(("a--1", (), 0), ("a", (), 1))
def test_ids_of_different_states_differ(one: tuple[str, Branch, int], other: tuple[str, Branch, int]) -> None:
    assert (state_id(*one) == state_id(*other)) == (one == other)


@given(texts)
@example("")
@example("run")
@example("-1.1-0")
@example("run-1.1/2.2-0")
@example("run-1.1-00")
@example("run-1.1-٣")
def test_all_other_texts_are_no_state_id(text: str) -> None:
    parts = text.rsplit("-", 2)
    path = parts[1] if len(parts) == 3 else "?"
    right = bool(
        parts[0]
        and "/" not in path
        and BRANCH.fullmatch(path.replace("_", "/"))
        and re.fullmatch(r"0|[1-9][0-9]*", parts[-1])
    )
    if right:
        assert state_id(*parse_state_id(text)) == text
    else:
        with pytest.raises(ValueError, match=r"not a (state id|branch)"):
            parse_state_id(text)


def test_a_number_with_thousands_of_digits_is_no_branch() -> None:
    with pytest.raises(ValueError, match="limit"):
        parse_branch(f"0.{'1' * 5000}")
    with pytest.raises(ValueError, match="limit"):
        parse_state_id(f"run--{'1' * 5000}")
