"""The table port: DynamoDB's own semantics, so that the two backends cannot drift apart.

An item is a mapping of attributes to values. User data never appears as nested attributes: the engine stores it as one
JSON text (or compressed bytes), so floats never reach this port and an adapter refuses them with TypeError. A write is
conditional on attributes of the one item that it touches; a condition that fails returns the item as it stood.

Empty sets do not exist: `Add` of an empty set is refused with ValueError; a set that loses its last member disappears
with its attribute. Attribute names are top-level only. `pk` and `sk` are part of every item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

Value: TypeAlias = Any
"""None, bool, int, str, bytes, frozenset[int], frozenset[str], or a list or str-keyed dict of Values."""

Item: TypeAlias = Mapping[str, Value]
"""Attributes by name, `pk` and `sk` (both str, not empty) included."""


class Key(NamedTuple):
    """The primary key of an item."""

    pk: str
    sk: str


# --- conditions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Absent:
    """The attribute (by default the item itself) does not exist."""

    attribute: str = "pk"


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute (by default the item itself) exists."""

    attribute: str = "pk"


@dataclass(frozen=True, slots=True)
class Equals:
    """The attribute exists and equals the value (same type, same value)."""

    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    """The attribute exists and equals one of the values (1 to 100 of them)."""

    attribute: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class LessThan:
    """The attribute exists, is a number and is less than the value."""

    attribute: str
    value: int


@dataclass(frozen=True, slots=True)
class Lacks:
    """The attribute is no set, does not exist, or does not hold the member."""

    attribute: str
    member: int | str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of the conditions holds (at least one is given)."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the conditions holds (at least one is given)."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Absent | Present | Equals | OneOf | LessThan | Lacks | AllOf | AnyOf


# --- update actions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Set:
    """The attribute takes the value."""

    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class SetOnce:
    """The attribute takes the value unless it exists."""

    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class Remove:
    """The attribute disappears (no error when it does not exist)."""

    attribute: str


@dataclass(frozen=True, slots=True)
class Add:
    """A number is added to the attribute (0 when absent), or the members of a set to a set (empty when absent)."""

    attribute: str
    value: int | frozenset[int] | frozenset[str]


@dataclass(frozen=True, slots=True)
class Append:
    """The values are appended to a list attribute (empty when absent)."""

    attribute: str
    values: tuple[Value, ...]


Action: TypeAlias = Set | SetOnce | Remove | Add | Append


# --- writes of a transaction ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Put:
    """Replace the whole item (its key is in it)."""

    item: Item
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Change attributes of the item at `key`; the item is made when it does not exist and the condition allows it."""

    key: Key
    actions: tuple[Action, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the item at `key`; no error when there is none and the condition allows it."""

    key: Key
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Write nothing; the transaction fails unless the condition holds."""

    key: Key
    condition: Condition


Write: TypeAlias = Put | Update | Delete | Check


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """A sparse secondary index: items that have both attributes appear in it; it projects every attribute.

    Reads of an index are eventually consistent.
    """

    name: str
    pk: str
    sk: str


BY_TIME = Index("by_time", "by_time_pk", "by_time_sk")
BY_GRAPH = Index("by_graph", "by_graph_pk", "by_graph_sk")
UNFINISHED = Index("unfinished", "unfinished_pk", "unfinished_sk")
INDEXES: tuple[Index, ...] = (BY_TIME, BY_GRAPH, UNFINISHED)
"""Every secondary index of the one table: of run headers, and BY_TIME of namespaces too. Key attributes are strings."""

TTL_ATTRIBUTE = "ttl"
"""Epoch seconds after which an item may disappear (DynamoDB takes up to days; embedded removes on purge)."""


@dataclass(frozen=True, slots=True)
class Query:
    """Items of one partition in the order of their sort key.

    Attributes:
        pk: the partition.
        prefix: only sort keys that begin with it.
        first, last: only sort keys from `first` to `last`, both included; not together with `prefix`.
        index: the secondary index to read, None for the table itself.
        limit: at most so many items a page; None for as many as a page holds (1 MB).
        reverse: from the last to the first.
        consistent: a strongly consistent read; must be False with an index.
        cursor: where the previous page ended.
    """

    pk: str
    prefix: str | None = None
    first: str | None = None
    last: str | None = None
    index: Index | None = None
    limit: int | None = None
    reverse: bool = False
    consistent: bool = True
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query; `cursor` is None when nothing follows. A page may be empty and still have a cursor."""

    items: Sequence[Item]
    cursor: str | None = None


@dataclass(slots=True)
class Consumed:
    """Capacity that the calls of one table object have used so far, as the service reported it.

    Write and read units follow DynamoDB's accounting (1 KB written, 4 KB read strongly; halves for eventual reads).
    Embedded leaves the units at zero and counts calls alone.
    """

    write_units: float = 0.0
    read_units: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)


class Table(Protocol):
    """One table. Every method raises Throttled, Unavailable or another BackendError; see errors.

    Implementations are safe to use from several threads, each with its own event loop.
    """

    consumed: Consumed

    async def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        """The item at `key`, or None."""
        ...

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:
        """The items that exist among any number of keys; what the service leaves out is asked for again."""
        ...

    async def put(self, item: Item, condition: Condition | None = None) -> None:
        """Replace the item. Raises ConditionFailed with the old item; ItemTooLarge over 400 KB."""
        ...

    async def update(self, key: Key, actions: Sequence[Action], condition: Condition | None = None) -> Item:
        """Change the item and return it as it is now. Raises ConditionFailed with the old item; ItemTooLarge."""
        ...

    async def delete(self, key: Key, condition: Condition | None = None) -> None:
        """Remove the item. Raises ConditionFailed with the old item."""
        ...

    async def batch_write(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        """Unconditional writes, any number, each atomic by itself; what the service leaves is sent again."""
        ...

    async def transact(self, writes: Sequence[Write]) -> None:
        """All writes or none, at most 100, each on another item. Raises TransactionFailed, TransactionConflict."""
        ...

    async def query(self, query: Query) -> Page:
        """One page of a partition."""
        ...
