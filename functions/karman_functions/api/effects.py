"""What a report may bring beside its outcome: writes of the run's store and signals, which go with the commit."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictFloat, StrictInt, StringConstraints

from karman_core.domain.definition import JSON, StoreKey
from karman_core.domain.outcome import (
    Effects,
    SentSignal,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    StoreWrite,
)
from karman_functions.api.models import Leased, Request, SignalName

MAX_STORE = 80
MAX_SIGNALS = 19
"""Together with the state's record they fit one transaction of 100 items."""


class SetKey(Request):
    """The key takes the value."""

    op: Literal["set"]
    key: StoreKey
    value: JSON

    def write(self) -> StoreWrite:
        """For the engine."""
        return StoreSet(self.key, self.value)


class DeleteKey(Request):
    """The key disappears, its default with it."""

    op: Literal["delete"]
    key: StoreKey

    def write(self) -> StoreWrite:
        """For the engine."""
        return StoreDelete(self.key)


class IncrementKey(Request):
    """A number is added to the key's value."""

    op: Literal["increment"]
    key: StoreKey
    amount: StrictInt | StrictFloat = 1

    def write(self) -> StoreWrite:
        """For the engine."""
        return StoreIncrement(self.key, self.amount)


class AppendToKey(Request):
    """A value is appended to the key's list."""

    op: Literal["append"]
    key: StoreKey
    value: JSON

    def write(self) -> StoreWrite:
        """For the engine."""
        return StoreAppend(self.key, self.value)


StoreChange: TypeAlias = Annotated[SetKey | DeleteKey | IncrementKey | AppendToKey, Field(discriminator="op")]


class SignalFromNode(Request):
    """A signal to a run of the namespace; by default to the state's own."""

    name: SignalName
    payload: JSON = None
    run_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,64}$")] | None = None


class Effective(Leased):
    """The base of reports that may bring effects."""

    store: list[StoreChange] = Field(default_factory=list, max_length=MAX_STORE)
    signals: list[SignalFromNode] = Field(default_factory=list, max_length=MAX_SIGNALS)

    def effects(self) -> Effects:
        """For the engine."""
        signals = (SentSignal(signal.name, signal.payload, signal.run_id) for signal in self.signals)
        return Effects(tuple(change.write() for change in self.store), tuple(signals))
