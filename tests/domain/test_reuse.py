"""Where the records lie that a run reuses of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.branches import Branch
from karman_core.domain.messages import RunRef
from karman_core.domain.reuse import Reused, Source, outcomes, reuse
from karman_core.domain.totals import Totals

places = st.tuples(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3).map(tuple), st.integers(0, 9)
)


def first_branch(place: tuple[Branch, int]) -> int:
    """The number of the state of the first branch that is, or is above, the one at a place."""
    branch, number = place
    return branch[0][0] if branch else number


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), places)
def test_any_chain_of_reruns_finds_the_run_that_has_executed_a_state(
    starts: list[int], place: tuple[Branch, int]
) -> None:
    """Run i + 1 is made from state `starts[i]` of run i; who has executed a place is who began at it or before it."""
    reused: Reused | None = None
    executed = "r0"
    for number, start in enumerate(starts, 1):
        reused = reuse(reused, Source(f"r{number - 1}", number, start), Totals(succeeded=start))
        if first_branch(place) >= start:
            executed = f"r{number}"
        found = reused.source(*place)
        assert (f"r{number}" if found is None else found.run_id) == executed
        assert (reused.before, reused.sources[-1].run_id) == (start, f"r{number - 1}")
        numbers = [source.before for source in reused.sources[:-1]]
        assert numbers == sorted(set(numbers))
        run = RunRef("ns", f"r{number}", "g", 1, 0, 0, reused=reused)
        assert run.source(*place) == found


@given(st.integers(0, 9), places)
def test_the_last_place_parts_what_is_reused_from_what_is_not(before: int, place: tuple[Branch, int]) -> None:
    def order(each: tuple[Branch, int]) -> tuple[tuple[int, int, int], ...]:
        """As the walk goes: a state, the branches below it, the next state."""
        return (*((fork, 1, index) for fork, index in each[0]), (each[1], 0, 0))

    last = Reused((Source("r0", 0, before),), Totals()).last
    assert (last is not None and order(place) < order(last)) == (first_branch(place) < before)


def test_a_run_that_reuses_nothing_has_all_itself() -> None:
    assert RunRef("ns", "r1", "g", 1, 0, 0).source((), 0) is None


def test_what_states_took_counts_in_their_own_run() -> None:
    assert outcomes(Totals(1, 2, 3, 4, 5, 6, 7)) == Totals(1, 2, 3, 4)
