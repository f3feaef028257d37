"""The one table as plain data: the CDK stack and the tests make it from the same values.

**Why the indexes hold keys only.** The three indexes list runs, and their entries are run headers. An index that
projects every attribute is written with each change of a header: a run that is created, changes its status twice and
ends would cost 4 + 3 + 3 + 4 write units. With keys only it is 4 + 1 + 1 + 2: entries move only when a key of theirs
does, that is when a run is made and when it leaves `unfinished`. Pages of a list read their headers from the table
instead (half a read unit each, a fifth of a write unit's price for two); they are opened by people, headers are written
by every run. It also means that a list shows each header as it is now, and that no header attribute is copied to where
a policy on the table's items does not reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from karman_core.ports.table import INDEXES, TTL_ATTRIBUTE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        CreateTableInputTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
    )

    from karman_core.backends.aws.clients import AwsClients

PARTITION_KEY: Final = "pk"
SORT_KEY: Final = "sk"
KEY_TYPE: Final = "S"
BILLING_MODE: Final = "PAY_PER_REQUEST"
INDEX_PROJECTION: Final = "KEYS_ONLY"
TIME_TO_LIVE: Final = TTL_ATTRIBUTE
POINT_IN_TIME_RECOVERY: Final = True
DELETION_PROTECTION: Final = True


def table_definition(
    table_name: str, *, deletion_protection: bool = DELETION_PROTECTION
) -> CreateTableInputTypeDef:
    """The arguments of CreateTable. Time to live and point-in-time recovery are calls of their own."""
    attributes = [PARTITION_KEY, SORT_KEY, *(name for index in INDEXES for name in (index.pk, index.sk))]
    definitions: list[AttributeDefinitionTypeDef] = [
        {"AttributeName": name, "AttributeType": KEY_TYPE} for name in attributes
    ]
    indexes: list[GlobalSecondaryIndexTypeDef] = [
        {
            "IndexName": index.name,
            "KeySchema": _key_schema(index.pk, index.sk),
            "Projection": {"ProjectionType": INDEX_PROJECTION},
        }
        for index in INDEXES
    ]
    return {
        "TableName": table_name,
        "BillingMode": BILLING_MODE,
        "AttributeDefinitions": definitions,
        "KeySchema": _key_schema(PARTITION_KEY, SORT_KEY),
        "GlobalSecondaryIndexes": indexes,
        "DeletionProtectionEnabled": deletion_protection,
    }


async def create_table(clients: AwsClients, table_name: str) -> None:
    """Make the table on an emulator or for a trial: with time to live, without backups, free to be deleted."""
    client = clients.dynamodb
    await clients.call(client.create_table, **table_definition(table_name, deletion_protection=False))
    await clients.call(
        client.get_waiter("table_exists").wait, TableName=table_name, WaiterConfig={"Delay": 1}
    )
    await clients.call(
        client.update_time_to_live,
        TableName=table_name,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": TIME_TO_LIVE},
    )


def _key_schema(partition: str, sort: str) -> list[KeySchemaElementTypeDef]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
