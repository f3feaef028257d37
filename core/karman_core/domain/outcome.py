"""How an execution of a node ended, as data. Signals (prune, requeue, wait) are outcomes, not errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from karman_core.domain.definition import JSON


@dataclass(frozen=True, slots=True)
class StoreSet:
    """The key takes the value."""

    key: str
    value: JSON


@dataclass(frozen=True, slots=True)
class StoreDelete:
    """The key disappears, its default with it."""

    key: str


@dataclass(frozen=True, slots=True)
class StoreIncrement:
    """A number is added to the key's value (0 when it has none)."""

    key: str
    amount: int | float = 1


@dataclass(frozen=True, slots=True)
class StoreAppend:
    """A value is appended to the key's list (empty when it has none)."""

    key: str
    value: JSON


StoreWrite: TypeAlias = StoreSet | StoreDelete | StoreIncrement | StoreAppend


@dataclass(frozen=True, slots=True)
class SentSignal:
    """A signal that a node sends with its commit; `run_id` None is the node's own run."""

    name: str
    payload: JSON = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Effects:
    """What takes effect with the commit of a state, once: store writes in their order, and signals."""

    store: tuple[StoreWrite, ...] = ()
    signals: tuple[SentSignal, ...] = ()


NO_EFFECTS = Effects()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The node gave outputs: one, several (a fanout), or an empty list of them.

    A node that returns nothing has given one empty output: the branch goes on. An empty list is a fanout of no
    branches: the unite of the group runs at once, with empty lists; where nobody unites it, the branch goes on once
    all the same.

    `chosen` names the one next node (or loop target) that follows; None for all next nodes.
    """

    outputs: tuple[Mapping[str, JSON], ...]
    chosen: str | None = None
    effects: Effects = NO_EFFECTS


@dataclass(frozen=True, slots=True)
class Errored:
    """The attempt failed.

    Attributes:
        kind: class name of the error, or a stable code (`timeout`, `invalid_input`, `invalid_output`, ...).
        bases: names of the classes that the error's class derives from; a policy may name one of them as non-retryable.
        retry: False when another attempt cannot help.
    """

    kind: str
    message: str
    traceback: str = ""
    retry: bool = True
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """The node ends its branch; `data` is kept."""

    data: Mapping[str, JSON]
    effects: Effects = NO_EFFECTS


@dataclass(frozen=True, slots=True)
class Requeued:
    """The same state runs again after a delay; not counted as a failure."""

    delay_ms: int
    effects: Effects = NO_EFFECTS


@dataclass(frozen=True, slots=True)
class Awaiting:
    """The state waits, without compute, for a signal of this name; at most so long."""

    signal: str
    timeout_ms: int | None = None
    effects: Effects = NO_EFFECTS


@dataclass(frozen=True, slots=True)
class Stopped:
    """The node was not run: its group had failed, and the graph fails fast. Executors never give this."""


Outcome: TypeAlias = Succeeded | Errored | Pruned | Requeued | Awaiting | Stopped


@dataclass(frozen=True, slots=True)
class Resumption:
    """Why a waiting state runs again: the signal's payload, or its time-out."""

    signal: str
    payload: JSON = None
    timed_out: bool = False
