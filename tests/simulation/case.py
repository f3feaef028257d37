"""What one simulation does, all drawn from one number. A case is data, so that it can be shrunk and kept."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from karman_core.engine import EngineSettings

SETTINGS = (
    EngineSettings(),
    EngineSettings(shard_width=2, direct_branches=1, inline_states=1),
    EngineSettings(
        shard_width=2, direct_branches=2, inline_states=3, inline_payload_bytes=20, carried_value_bytes=20
    ),
    EngineSettings(shard_width=4, direct_branches=3, running_record_seconds=0.5, control_cache_seconds=0.0),
)
"""A deployment's shard width never changes; all workers of a case have one of these, but for what may be mixed."""

BEHAVIOURS = ("retry", "requeue", "wait", "store", "slow", "signals", "wild", "loops")
OPERATIONS = (
    "pause", "signal", "retry", "sweep", "cancel", "restart", "deploy", "duplicate", "fire", "foreign", "twice",
    "define", "retry_state", "rerun", "skip", "redrive", "purge", "bulk", "look",
)  # fmt: skip
FAULTS = (
    "crash_before", "crash_after", "lost_reply", "repeated", "lost_request", "throttled", "conflict", "partial",
    "delayed", "duplicated", "undercounted", "forgotten", "stale_read", "stalled", "expired",
)  # fmt: skip


LIMITS = ("slots", "keyed", "refusing", "starts", "quota", "pace")


@dataclass(frozen=True, slots=True)
class Case:
    """A simulation.

    Attributes:
        seed: of the order of events, and of when faults strike.
        plans: seeds of the graph's versions; more than one means that a new version is deployed in mid-run.
        runs: how many runs there are of it.
        workers, concurrency: processes that work, and messages each holds at once.
        settings: index in SETTINGS.
        skew_ms: clocks of processes differ by up to so much.
        policy: how the scheduler draws who goes on.
        rate, budget: how likely a fault is at a call, and how many there are at most.
        faults, behaviours, operations: which kinds may occur.
        spared: faults, by number, that do not strike after all (for shrinking).
        most_states: runs that would have more states by the plan are not begun.
        fail_fast: of the graph.
        limits: how the graph limits its runs, and the namespace too; `room`: how many it lets.
        max_receives: messages received more often are dead letters; None for never.
    """

    seed: int
    plans: tuple[int, ...]
    runs: int = 1
    workers: int = 2
    concurrency: int = 2
    settings: int = 0
    skew_ms: int = 0
    policy: str = "uniform"
    rate: float = 0.0
    budget: int = 0
    faults: tuple[str, ...] = ()
    behaviours: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    spared: tuple[int, ...] = ()
    most_states: int = 30
    fail_fast: bool = False
    max_receives: int | None = None
    limits: tuple[str, ...] = ()
    room: int = 1

    @classmethod
    def of(cls, seed: int) -> Self:
        """The case of a seed. Kinds are drawn too: what is rare together is common apart."""
        rng = random.Random(f"case {seed}")
        faulty = rng.random() < 0.9
        behaviours = _some(rng, BEHAVIOURS, rng.choice([0.2, 0.5]))
        operations = _some(rng, OPERATIONS, rng.choice([0.0, 0.15, 0.4]))
        plans = [rng.randrange(3000) for _ in range(2 if "deploy" in operations else 1)]
        limits = _some(rng, LIMITS, 0.5) if rng.random() < 0.25 else ()
        return cls(
            seed=seed,
            plans=tuple(plans),
            runs=rng.choice([2, 3, 4]) if limits else rng.choice([1, 1, 2]),
            workers=rng.choice([1, 2, 2, 3]),
            concurrency=rng.choice([1, 2, 4]),
            settings=rng.randrange(len(SETTINGS)),
            skew_ms=rng.choice([0, 0, 300, 5000]),
            policy=rng.choice(["uniform", "uniform", "sticky", "unfair"]),
            rate=rng.choice([0.01, 0.03, 0.1]) if faulty else 0.0,
            budget=rng.choice([1, 2, 4, 8, 14]) if faulty else 0,
            faults=_some(rng, FAULTS, rng.choice([0.2, 0.5, 1.0])) if faulty else (),
            behaviours=behaviours,
            operations=operations,
            most_states=rng.choice([8, 12, 16, 30]),
            fail_fast=rng.random() < 0.15,
            max_receives=rng.choice([None, None, None, 4]),
            limits=limits,
            room=rng.choice([1, 1, 2]),
        )

    @property
    def calm(self) -> bool:
        """Nothing goes wrong: then nothing may be done twice."""
        return not self.faults or not self.budget

    def but(self, **changes: Any) -> Case:
        """The case with some fields changed."""
        return replace(self, **changes)

    def text(self) -> str:
        """As JSON, what is the default left out."""
        default = asdict(Case(0, ()))
        return json.dumps({k: v for k, v in asdict(self).items() if v != default[k] or k == "seed"})

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reverse of `text`."""
        values: dict[str, Any] = json.loads(text)
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**fields)


def _some(rng: random.Random, names: tuple[str, ...], chance: float) -> tuple[str, ...]:
    return tuple(name for name in names if rng.random() < chance)
