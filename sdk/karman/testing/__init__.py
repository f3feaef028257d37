"""Graphs and nodes in tests.

from karman.testing import execute

def test_greets():
outcome = execute(Greet, name="Ada")
assert outcome == Succeeded(({"text": "Hello, Ada!"},))
"""

from __future__ import annotations

from karman._internal.testing.clock import SkippingClock
from karman._internal.testing.single import aexecute, execute
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Outcome,
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

__all__ = [
    "Awaiting",
    "Effects",
    "Errored",
    "Outcome",
    "Pruned",
    "Requeued",
    "Resumption",
    "SentSignal",
    "SkippingClock",
    "StoreAppend",
    "StoreDelete",
    "StoreIncrement",
    "StoreSet",
    "Succeeded",
    "aexecute",
    "execute",
]
