"""make simulate: seeds, crash points, exhaustive exploration and mutations, with a report; or one seed, with its trace.

python -m tests.simulation --seeds 10000        the seeds alone, reported
python -m tests.simulation --all                crash points, explorer and mutations as well
python -m tests.simulation --seed 4711          one seed: its trace; if it fails, the smallest case that still does
"""

# ruff: noqa: T201  a report is printed
from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.simulation.campaign import campaign, seconds
from tests.simulation.case import Case
from tests.simulation.history import play
from tests.simulation.shrinking import shrink

ENOUGH = 10_000
"""Seeds that reach everything there is to reach; what they leave out is a failure."""


def main() -> int:
    """The command line; 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="one seed, with its trace")
    parser.add_argument("--case", help="a case as JSON, with its trace")
    parser.add_argument("--all", action="store_true", help="crash points, explorer and mutations too")
    options = parser.parse_args()
    if options.seed is not None:
        return show(Case.of(options.seed))
    if options.case is not None:
        return show(Case.parse(options.case))
    failed = seeds(options.first, options.seeds)
    if options.all:
        failed |= crash_points() | explorations() | mutations(max(300, options.seeds // 10))
    return int(failed)


def show(case: Case) -> int:
    """One case: what happened, and if it failed, the smallest case that fails in the same way."""
    outcome = play(case, trace=True)
    print("\n".join(outcome.trace))
    print(case.text())
    if outcome.failure is None:
        print(f"all well: {dict(outcome.statuses)}, faults {dict(outcome.faults)}")
        return 0
    traceback.print_exception(outcome.failure)
    smallest = shrink(case)
    print(f"the smallest case that fails so, for tests/simulation/regressions:\n{smallest.text()}")
    return 1


def seeds(first: int, count: int) -> bool:
    """Play seeds; whether any failed."""
    began, total = time.perf_counter(), None
    for total in campaign(first, count):
        if total.cases % 1000 == 0:
            print(f"{total.cases} cases, {len(total.failures)} failed, {seconds(began)}", file=sys.stderr)
    if total is None:
        return False
    print(f"seeds {first} to {first + count - 1} in {seconds(began)}\n{total.report()}")
    return bool(total.failures) or (count >= ENOUGH and total.has_gaps)


def crash_points() -> bool:
    """Every crash point of the reference graphs; whether any made a difference."""
    from tests.simulation.crash_points import report  # noqa: PLC0415  not needed for seeds

    began = time.perf_counter()
    lines, failed = report()
    print("\n".join([*lines, seconds(began)]), flush=True)
    return failed


def explorations() -> bool:
    """Every interleaving of the small configurations; whether any broke an invariant."""
    from tests.simulation.explorer import report  # noqa: PLC0415  not needed for seeds

    began = time.perf_counter()
    lines, failed = report()
    print("\n".join([*lines, seconds(began)]), flush=True)
    return failed


def mutations(most: int) -> bool:
    """Every mutation; whether any was not noticed."""
    from tests.simulation.mutations import MUTATIONS  # noqa: PLC0415  not needed for seeds

    failed = False
    for mutation in MUTATIONS:
        found = mutation.caught(range(most))
        failed |= found is None
        print(f"{mutation.name:<42} {'NOT NOTICED' if found is None else found[:110]}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
