"""The table port on DynamoDB.

The SDK repeats a write whose answer was lost. Conditional writes then find what they wrote themselves, which the engine
expects; an unconditional `Add` of a number may count twice. Transactions carry a token that the SDK draws once a call,
so that DynamoDB takes a repeated one for the same.

`consumed` counts calls when they are made and units when they are reported: DynamoDB reports none for a write whose
condition failed, though it bills one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from karman_core.backends.aws.backoff import Backoff, chunks, each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.expressions import (
    Placeholders,
    conditional,
    transaction_item,
    update_expression,
)
from karman_core.backends.aws.queries import cursor_after, is_empty, query_arguments
from karman_core.backends.aws.values import from_attributes, key_of, to_attributes, to_key
from karman_core.backends.values import (
    MAX_PARTITION_KEY_BYTES,
    MAX_SORT_KEY_BYTES,
    MAX_TRANSACTION_WRITES,
    check_key,
    check_size,
)
from karman_core.domain.errors import BackendError, InvalidRequest, NotFound, Throttled
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.table import Action, Condition, Consumed, Index, Item, Key, Page, Put, Query, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import WriteRequestUnionTypeDef

_KEYS_A_GET = 100
_WRITES_A_BATCH = 25


class DynamoDBTable:
    """One table, with the keys and indexes of `schema`."""

    def __init__(self, clients: AwsClients, table_name: str, clock: Clock, entropy: Entropy) -> None:
        self._clients = clients
        self._name = table_name
        self._backoff = Backoff(clock, entropy)
        self._counting = threading.Lock()
        self.consumed = Consumed()

    async def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        """The item at `key`, or None."""
        _check_key(key)
        self._count("get")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.get_item,
                TableName=self._name,
                Key=to_key(key),
                ConsistentRead=consistent,
                ReturnConsumedCapacity="TOTAL",
            )
        self._charge(answer, reads=True)
        item = answer.get("Item")
        return from_attributes(item) if item else None

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:
        """The items that exist among any number of keys."""
        wanted = list(dict.fromkeys(keys))
        for key in wanted:
            _check_key(key)
        found: dict[Key, Item] = {}
        get = partial(self._get_some, found, consistent)
        with self._explaining():
            await each(lambda chunk: self._backoff.exhaust(chunk, get, _unread), chunks(wanted, _KEYS_A_GET))
        return found

    async def put(self, item: Item, condition: Condition | None = None) -> None:
        """Replace the item. Raises ConditionFailed with the old item; ItemTooLarge over 400 KB."""
        attributes = to_attributes(item)
        check_size(item)
        self._count("put")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.put_item,
                TableName=self._name,
                Item=attributes,
                ReturnConsumedCapacity="TOTAL",
                **conditional(condition, Placeholders()),
            )
        self._charge(answer)

    async def update(self, key: Key, actions: Sequence[Action], condition: Condition | None = None) -> Item:
        """Change the item and return it as it is now. Raises ConditionFailed with the old item; ItemTooLarge."""
        _check_key(key)
        placeholders = Placeholders()
        expression = update_expression(actions, placeholders)
        self._count("update")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.update_item,
                TableName=self._name,
                Key=to_key(key),
                UpdateExpression=expression,
                ReturnValues="ALL_NEW",
                ReturnConsumedCapacity="TOTAL",
                **conditional(condition, placeholders),
            )
        self._charge(answer)
        return from_attributes(answer["Attributes"])

    async def delete(self, key: Key, condition: Condition | None = None) -> None:
        """Remove the item. Raises ConditionFailed with the old item."""
        _check_key(key)
        self._count("delete")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.delete_item,
                TableName=self._name,
                Key=to_key(key),
                ReturnConsumedCapacity="TOTAL",
                **conditional(condition, Placeholders()),
            )
        self._charge(answer)

    async def batch_write(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        """Unconditional writes, any number, each on another item. Raises ItemTooLarge before it writes any."""
        requests = list(_requests(puts, deletes))
        with self._explaining():
            await each(
                lambda chunk: self._backoff.exhaust(chunk, self._write_some, _unwritten),
                chunks(requests, _WRITES_A_BATCH),
            )

    async def transact(self, writes: Sequence[Write]) -> None:
        """All writes or none, at most 100, each on another item."""
        items = _transaction(writes, self._name)
        self._count("transact")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.transact_write_items,
                TransactItems=items,
                ReturnConsumedCapacity="TOTAL",
            )
        self._charge(answer)

    async def query(self, query: Query) -> Page:
        """One page of a partition."""
        arguments = query_arguments(query)
        if is_empty(query):
            return Page([])
        self._count("query")
        with self._explaining():
            answer = await self._clients.call(
                self._clients.dynamodb.query,
                TableName=self._name,
                ReturnConsumedCapacity="TOTAL",
                **arguments,
            )
        self._charge(answer, reads=True)
        items: list[Item] = [from_attributes(item) for item in answer["Items"]]
        if query.index is not None:
            items = await self._whole(items, query.index)
        return Page(items, cursor_after(query, answer.get("LastEvaluatedKey")))

    async def _whole(self, entries: Sequence[Item], index: Index) -> list[Item]:
        """The items of an index's entries, without those that have left their place in it since."""
        found = await self.batch_get([Key(entry["pk"], entry["sk"]) for entry in entries], consistent=False)
        whole: list[Item] = []
        for entry in entries:
            item = found.get(Key(entry["pk"], entry["sk"]), {})
            if all(item.get(name) == entry[name] for name in (index.pk, index.sk)):
                whole.append(item)
        return whole

    async def _get_some(self, found: dict[Key, Item], consistent: bool, keys: Sequence[Key]) -> list[Key]:  # noqa: FBT001
        """Put into `found` what there is, and return the keys that the service left."""
        self._count("batch_get")
        answer = await self._clients.call(
            self._clients.dynamodb.batch_get_item,
            RequestItems={self._name: {"Keys": [to_key(key) for key in keys], "ConsistentRead": consistent}},
            ReturnConsumedCapacity="TOTAL",
        )
        self._charge(answer, reads=True)
        for item in answer["Responses"].get(self._name, ()):
            found[key_of(item)] = from_attributes(item)
        left = answer.get("UnprocessedKeys", {}).get(self._name)
        return [key_of(key) for key in left["Keys"]] if left else []

    async def _write_some(
        self, requests: Sequence[WriteRequestUnionTypeDef]
    ) -> Sequence[WriteRequestUnionTypeDef]:
        self._count("batch_write")
        answer = await self._clients.call(
            self._clients.dynamodb.batch_write_item,
            RequestItems={self._name: requests},
            ReturnConsumedCapacity="TOTAL",
        )
        self._charge(answer)
        return answer.get("UnprocessedItems", {}).get(self._name, [])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say which table is missing, and whose fault it is when DynamoDB calls a request invalid."""
        try:
            yield
        except NotFound as error:
            raise NotFound(f"there is no table {self._name!r} here: {error.message}") from error.__cause__
        except BackendError as error:
            if type(error) is BackendError and "ValidationException" in error.message:
                if "tarting key" in error.message:
                    raise InvalidRequest("the cursor belongs to another query") from error.__cause__
                # Values and keys were checked before: what is left depends on the item, such as a sum with a text.
                raise ValueError(error.message) from error.__cause__
            raise

    def _count(self, call: str) -> None:
        with self._counting:
            self.consumed.calls[call] = self.consumed.calls.get(call, 0) + 1

    def _charge(self, answer: Mapping[str, Any], *, reads: bool = False) -> None:
        capacity = answer.get("ConsumedCapacity") or []
        parts = capacity if isinstance(capacity, list) else [capacity]
        units = sum(part.get("CapacityUnits", 0.0) for part in parts)
        with self._counting:
            if reads:
                self.consumed.read_units += units
            else:
                self.consumed.write_units += units


def _check_key(key: Key) -> None:
    check_key("pk", key[0], MAX_PARTITION_KEY_BYTES)
    check_key("sk", key[1], MAX_SORT_KEY_BYTES)


def _requests(puts: Iterable[Item], deletes: Iterable[Key]) -> Iterator[WriteRequestUnionTypeDef]:
    """The entries of a batch. Raises ValueError, TypeError or ItemTooLarge for one that cannot be written."""
    touched: set[Key] = set()

    def touch(key: Key) -> None:
        if key in touched:
            raise ValueError("a batch cannot touch one item twice: its writes have no order")
        touched.add(key)

    for item in puts:
        attributes = to_attributes(item)
        check_size(item)
        touch(key_of(attributes))
        yield {"PutRequest": {"Item": attributes}}
    for key in deletes:
        _check_key(key)
        touch(Key(key[0], key[1]))
        yield {"DeleteRequest": {"Key": to_key(key)}}


def _transaction(writes: Sequence[Write], table_name: str) -> list[Any]:
    """Raises ValueError, TypeError or ItemTooLarge for a transaction that cannot be tried."""
    if not 1 <= len(writes) <= MAX_TRANSACTION_WRITES:
        raise ValueError(f"a transaction has 1 to {MAX_TRANSACTION_WRITES} writes, not {len(writes)}")
    items: list[Any] = []
    keys: set[Key] = set()
    for write in writes:
        items.append(transaction_item(write, table_name))
        if isinstance(write, Put):
            check_size(write.item)
            keys.add(Key(write.item["pk"], write.item["sk"]))
        else:
            _check_key(write.key)
            keys.add(Key(write.key[0], write.key[1]))
    if len(keys) < len(writes):
        raise ValueError("a transaction cannot touch one item twice")
    return items


def _unread(left: int) -> Exception:
    return Throttled(f"DynamoDB left {left} keys of a batch unread, again and again")


def _unwritten(left: int) -> Exception:
    return Throttled(f"DynamoDB left {left} items of a batch unwritten, again and again")
