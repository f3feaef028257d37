"""Every benchmark: `make bench`, or `python -m bench NAME`: write-units, local-runs, embedded-ports, api-load."""

from __future__ import annotations

import asyncio
import sys

from bench import api_load, embedded_ports, local_runs, write_units
from tests import emulators

FORKS = (1_000, 10_000)
CHAINS = (20, 2_000)


def measure_write_units() -> None:
    """Capacity units by DynamoDB Local."""
    reason = emulators.why_not_dynamodb_local()
    if reason:
        print(f"write-units: left out: {reason}")
        return
    endpoint = emulators.start_dynamodb_local()
    print("write units (DynamoDB Local)             states   writes   reads  messages")
    chain = asyncio.run(write_units.chain_cost(endpoint, 20))
    fork = asyncio.run(write_units.fork_cost(endpoint, 1_000))
    costs = {"inline chain of 20": chain, "fork of 1,000 with a unite": fork}
    for given, declared in ((0, 0), (2, 0), (0, 2)):
        name = f"one state and its trigger, {given}+{declared} tags"
        costs[name] = asyncio.run(write_units.whole_run_cost(endpoint, given=given, declared=declared))
    for name, cost in costs.items():
        print(f"{name:<38} {cost.states:>8} {cost.write_units:>8} {cost.read_units:>7} {cost.messages:>9}")


def measure_local_runs() -> None:
    """Throughput and memory of one worker process."""
    print("embedded, one worker process             states  seconds  states/s  peak MB")
    for case, sizes in {"chain": CHAINS, "fork": FORKS}.items():
        for size in sizes:
            states, seconds, memory = local_runs.measure(case, size)
            print(
                f"{case + ' of ' + f'{size:,}':<38} {states:>8} {seconds:>8.2f} {states / seconds:>9.0f} {memory:>8.0f}"
            )


MEASURES = {
    "write-units": measure_write_units,
    "local-runs": measure_local_runs,
    "embedded-ports": embedded_ports.main,
    "api-load": api_load.main,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or MEASURES:
        MEASURES[chosen]()
