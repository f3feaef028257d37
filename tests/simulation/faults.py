"""What goes wrong at a port call. Each kind is what a service or a machine really does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from karman_core.domain.errors import Throttled, TransactionConflict, Unavailable
from tests.simulation.case import Case
from tests.simulation.processes import Call, perform

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_WRITES = frozenset(
    {
        "put",
        "update",
        "delete",
        "batch_write",
        "transact",
        "send",
        "set",
        "publish",
        "receive",
        "create",
        "cancel",
    }
)
_ANY = frozenset({"crash_before", "crash_after", "stalled", "expired"})
_BACKEND = frozenset({"lost_reply", "lost_request", "throttled"})

_RARE = frozenset(
    {"queue.depth", "timers.cancel", "blobs.delete_prefix", "schedules.delete", "secrets.delete"}
)
_OFTENER = 8
"""What is called once in a history, and late, is to meet faults too: one when the budget is used up."""

Result = tuple[Any, BaseException | None]


_APPLIES: dict[str, Callable[[Call], bool]] = {
    "repeated": lambda call: call.method in _WRITES,
    "conflict": lambda call: call.method == "transact",
    "partial": lambda call: (
        call.method == "batch_write" or (call.method == "send" and len(call.arguments[1]) > 1)
    ),
    "delayed": lambda call: call.name in {"queue.send", "timers.set"},
    "duplicated": lambda call: call.method == "receive",
    "undercounted": lambda call: call.method == "receive",
    "forgotten": lambda call: call.name == "queue.delete",
    "stale_read": lambda call: call.method == "get" and call.options.get("consistent") is False,
}


def applies(kind: str, call: Call) -> bool:
    """Whether a kind of fault can happen at a call."""
    if kind in _ANY or call.port == "node":
        return kind in _ANY
    return kind in _BACKEND or _APPLIES[kind](call)


class Faults:
    """Draws faults within the case's budget, and carries calls out with them."""

    def __init__(self, case: Case, simulation: Simulation) -> None:
        self._case = case
        self._simulation = simulation
        self._rng = random.Random(f"faults {case.seed}")
        self.struck: Counter[tuple[str, str]] = Counter()
        self.numbers: list[int] = []
        self.left = case.budget
        self._spare = bool(case.budget)
        self.drawn = 0
        self.weight = 0
        """How many messages the faults may have doubled or brought back."""
        self.over = False

    @property
    def count(self) -> int:
        """How many have struck."""
        return sum(self.struck.values())

    def draw(self, call: Call) -> str | None:
        """The fault that strikes at a call, if any."""
        rare = call.name in _RARE
        if self.over or not self._case.faults or (self.left <= 0 and not (rare and self._spare)):
            return None
        if self._rng.random() >= self._case.rate * (_OFTENER if rare else 1):
            return None
        kinds = [kind for kind in self._case.faults if applies(kind, call)]
        if not kinds:
            return None
        kind = self._rng.choice(kinds)
        self.drawn += 1
        if self.left <= 0:
            self._spare = False
        self.left -= 1
        if self.drawn in self._case.spared:
            return None
        self.numbers.append(self.drawn)
        self.struck[kind, call.name] += 1
        self.weight += len(call.arguments[1]) if call.name == "queue.send" else 1
        return kind

    def perform(self, call: Call, kind: str | None) -> Result:
        """Carry a call out as the fault has it."""
        if kind is None or kind in {"expired", "crash_after"}:
            return self._really(call)
        special: Callable[[Call], Result] | None = getattr(self, f"_{kind}", None)
        if special is None:
            raise AssertionError(kind)
        return special(call)

    def _really(self, call: Call) -> Result:
        if call.port == "node":
            return None, None
        options = {**call.options, "wait_seconds": 0.0} if call.method == "receive" else call.options
        method = getattr(getattr(self._simulation.backend, call.port), call.method)
        result, error = perform(method(*call.arguments, **options))
        self._simulation.monitor.called(call, failed=error is not None)
        return result, error

    def _crash_before(self, call: Call) -> Result:
        del call
        return None, None

    def _lost_reply(self, call: Call) -> Result:
        self._really(call)
        return None, Unavailable("the reply was lost")

    def _lost_request(self, call: Call) -> Result:
        del call
        return None, Unavailable("the request was lost")

    def _throttled(self, call: Call) -> Result:
        del call
        return None, Throttled("slow down")

    def _conflict(self, call: Call) -> Result:
        del call
        return None, TransactionConflict("somebody else was there")

    def _repeated(self, call: Call) -> Result:
        """The service did it, the reply was lost, and the client library did it again."""
        self._really(call)
        return self._really(call)

    def _partial(self, call: Call) -> Result:
        if call.method == "send":
            some = call.arguments[1][: len(call.arguments[1]) // 2]
            self._really(replace(call, arguments=(call.arguments[0], some)))
            return None, Unavailable("some messages were not sent")
        options = {name: list(call.options[name])[:1] for name in call.options}
        arguments = tuple(list(argument)[:1] for argument in call.arguments)
        self._really(replace(call, arguments=arguments, options=options))
        return None, Unavailable("some items were not written")

    def _delayed(self, call: Call) -> Result:
        if call.port == "timers":
            late = replace(call.arguments[0], at_ms=call.arguments[0].at_ms + self._rng.randrange(60_000))
            return self._really(replace(call, arguments=(late,)))
        messages = [
            replace(one, delay_seconds=min(900, one.delay_seconds + self._rng.choice([0, 0.3, 5, 70])))
            for one in call.arguments[1]
        ]
        return self._really(replace(call, arguments=(call.arguments[0], messages)))

    def _duplicated(self, call: Call) -> Result:
        """A message is delivered, and stays there for others as well."""
        messages, error = self._really(call)
        if messages:
            self._release(call.arguments[0], self._rng.choice(messages).receipt)
        return messages, error

    def _release(self, queue: str, receipt: str) -> None:
        perform(self._simulation.backend.queue.extend(queue, [receipt], 0))

    def _undercounted(self, call: Call) -> Result:
        """How often a message was received is approximate."""
        messages, error = self._really(call)
        return (None if messages is None else [replace(one, receive_count=1) for one in messages]), error

    def _forgotten(self, call: Call) -> Result:
        del call
        return None, None

    def _stale_read(self, call: Call) -> Result:
        """An eventually consistent read that sees what was there before the last write."""
        return self._simulation.monitor.before(call.arguments[0]), None
