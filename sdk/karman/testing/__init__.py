"""Graphs and nodes in tests: whole runs in this process, where an hour's back-off takes no time.

    from karman.testing import fail, run

    def test_survives_an_outage():
        result = run(graph, {"name": "Ada"}, failures=[fail("greet", times=2)])

        result.assert_succeeded()
        assert result.outputs == {"text": "Hello, Ada!"}
        assert result.executions("greet") == 3
        assert result.elapsed == 6  # 2 s and 4 s between the attempts

    def test_greets():
        assert execute(Greet, name="Ada") == Succeeded(({"text": "Hello, Ada!"},))

`run` and `execute` are for plain tests, `arun` and `aexecute` for async ones; all work with any test runner.
"""

from __future__ import annotations

from karman._internal.results import NodeOutcome
from karman._internal.testing.clock import SkippingClock
from karman._internal.testing.result import RunResult
from karman._internal.testing.running import arun, run
from karman._internal.testing.scripts import Fault, Stub, crash, fail, stub
from karman._internal.testing.single import aexecute, execute
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Pruned,
    Requeued,
    Resumption,
    SentSignal,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    Succeeded,
)
from karman_core.engine.views import AttemptView, RunView, StateView

__all__ = [
    "AttemptView",
    "Awaiting",
    "Effects",
    "Errored",
    "Fault",
    "NodeOutcome",
    "Pruned",
    "Requeued",
    "Resumption",
    "RunResult",
    "RunView",
    "SentSignal",
    "SkippingClock",
    "StateView",
    "StoreAppend",
    "StoreDelete",
    "StoreIncrement",
    "StoreSet",
    "Stub",
    "Succeeded",
    "aexecute",
    "arun",
    "crash",
    "execute",
    "fail",
    "run",
    "stub",
]
