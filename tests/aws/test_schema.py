"""The table's definition, and what its indexes of keys mean for queries."""

from collections.abc import Mapping
from typing import Any

from karman_core.backends.aws import AwsBackend, AwsSettings
from karman_core.backends.aws.schema import table_definition
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.table import BY_TIME, INDEXES, Item, Query


def test_the_definition() -> None:
    definition: Any = table_definition("karman")

    assert definition["BillingMode"] == "PAY_PER_REQUEST"
    assert definition["DeletionProtectionEnabled"]
    assert [index["IndexName"] for index in definition["GlobalSecondaryIndexes"]] == [
        index.name for index in INDEXES
    ]
    assert {index["Projection"]["ProjectionType"] for index in definition["GlobalSecondaryIndexes"]} == {
        "KEYS_ONLY"
    }
    defined = {attribute["AttributeName"] for attribute in definition["AttributeDefinitions"]}
    used = {
        key["AttributeName"]
        for schema in (definition, *definition["GlobalSecondaryIndexes"])
        for key in schema["KeySchema"]
    }
    assert defined == used


class Client:
    """An index that lags behind its table."""

    def __init__(self, table: Mapping[str, Item], index: list[Item]) -> None:
        self._table = table
        self._index = index

    def query(self, **_: Any) -> Any:
        return {"Items": [form(entry) for entry in self._index]}

    def batch_get_item(self, RequestItems: Any, **_: Any) -> Any:  # noqa: N803 - the SDK's name
        ((name, request),) = RequestItems.items()
        wanted = [key["sk"]["S"] for key in request["Keys"]]
        return {"Responses": {name: [form(self._table[sk]) for sk in wanted if sk in self._table]}}


def form(item: Item) -> dict[str, Any]:
    return {name: {"S": value} for name, value in item.items()}


def entry(sk: str, time: str) -> dict[str, str]:
    return {"pk": "run", "sk": sk, BY_TIME.pk: "day", BY_TIME.sk: time}


async def test_entries_that_the_table_no_longer_has_are_left_out() -> None:
    index: list[Item] = [entry("stays", "1"), entry("moved", "2"), entry("left", "3"), entry("gone", "4")]
    table: dict[str, Item] = {
        "stays": {**entry("stays", "1"), "status": "DONE"},
        "moved": {**entry("moved", "9"), "status": "DONE"},
        "left": {"pk": "run", "sk": "left", "status": "DONE"},
    }
    backend = AwsBackend.open(AwsSettings("t"), clock=SystemClock(), entropy=SystemEntropy())
    clients: Any = backend.clients
    clients._clients["dynamodb"] = client = Client(table, index)  # noqa: SLF001
    client.close = lambda: None  # type: ignore[attr-defined]

    page = await backend.table.query(Query("day", index=BY_TIME, consistent=False))

    assert page.items == [table["stays"]]
    backend.close()
