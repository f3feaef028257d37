"""The table on DynamoDB Local, Amazon's own emulator: the judge of what DynamoDB means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.contract.backends import BackendPorts
from tests.contract.backends.aws_ports import open_aws
from tests.emulators import start_dynamodb_local, why_not_dynamodb_local

PORTS = frozenset({"table"})
GAPS: Mapping[str, str] = {}


def unavailable() -> str | None:
    return why_not_dynamodb_local()


@asynccontextmanager
async def open_ports(tmp_path: Path) -> AsyncIterator[BackendPorts]:
    async with open_aws("dynamodb_local", start_dynamodb_local(), PORTS) as opened:
        try:
            yield opened.ports
        finally:
            clients = opened.backend.clients
            await clients.call(clients.dynamodb.delete_table, TableName=opened.settings.table_name)
