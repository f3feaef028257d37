"""Making a failing case small: fewer faults, kinds, processes and states, as long as it still fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.simulation.case import Case
from tests.simulation.history import Outcome, play

_SEEDS_TRIED = 6


def manner(outcome: Outcome) -> str | None:
    """How a case fails, without what differs from run to run; None if it does not fail."""
    if outcome.failure is None:
        return None
    text = re.sub(r"[kr][0-9a-z]{20,}\S*|\d+", "*", str(outcome.failure).split(":")[0])
    return f"{type(outcome.failure).__name__}: {text[:60]}"


def shrink(case: Case, most: int = 400) -> Case:
    """The smallest case found in so many attempts that fails as this one does."""
    wanted, left, found = manner(play(case)), most, True
    if wanted is None:
        return case
    while found and left > 0:
        found = False
        for smaller in _smaller(case):
            left -= 1
            if left <= 0:
                break
            failing = _failing(smaller, wanted)
            if failing is not None:
                case, found = failing, True
                break
    return case


def _failing(case: Case, wanted: str) -> Case | None:
    # What is left out shifts all that is drawn after it: a few other orders are tried as well.
    for shift in range(_SEEDS_TRIED):
        tried = case if not shift else case.but(seed=case.seed + shift * 1_000_003)
        if manner(play(tried)) == wanted:
            return tried
    return None


def _smaller(case: Case) -> Iterator[Case]:
    if case.runs > 1:
        yield case.but(runs=1)
        yield case.but(runs=case.runs - 1)
    for name in ("operations", "behaviours", "faults", "limits"):
        kinds = getattr(case, name)
        if len(kinds) > 2:
            yield case.but(**{name: kinds[: len(kinds) // 2]})
            yield case.but(**{name: kinds[len(kinds) // 2 :]})
        for kind in kinds:
            yield case.but(**{name: tuple(one for one in kinds if one != kind)})
    if case.most_states > 4:
        yield case.but(most_states=case.most_states // 2 + 2)
    if case.workers > 1:
        yield case.but(workers=case.workers - 1)
    plain = {
        "concurrency": 2,
        "room": 1,
        "skew_ms": 0,
        "fail_fast": False,
        "max_receives": None,
        "settings": 0,
        "policy": "uniform",
    }
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield case.but(**{name: value})
    outcome = play(case)
    for number in outcome.numbers:
        yield case.but(spared=(*case.spared, number))
