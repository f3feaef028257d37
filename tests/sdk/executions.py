"""Executions for tests of the executor, where `karman.testing.execute` hides too much."""

import asyncio
from collections.abc import Mapping
from typing import Any

from karman._internal.execution import NodeExecutor
from karman.testing import SkippingClock
from karman_core.domain.outcome import Resumption
from karman_core.ports.executor import Execution


class Control:
    """What the engine would know while a node runs."""

    def __init__(self, store: Mapping[str, Any] | None = None) -> None:
        self.store = dict(store or {})
        self.cancelled = False
        self.reads: list[str] = []

    async def read(self, key: str) -> Any:
        await asyncio.sleep(0)
        self.reads.append(key)
        return self.store.get(key)


def executor(*nodes: Any, **options: Any) -> NodeExecutor:
    return NodeExecutor(nodes, clock=SkippingClock(0), **options)


def execution(
    node_name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    control: Control | None = None,
    secrets: Mapping[str, str] | None = None,
    resumed: Resumption | None = None,
    timeout_seconds: float | None = None,
    deadline_ms: int = 86_400_000,
) -> Execution:
    control = control or Control()
    return Execution(
        namespace="team",
        run_id="run-1",
        state_id="run-1--0",
        graph="graph",
        graph_version=1,
        identifier="place",
        node_name=node_name,
        inputs=inputs or {},
        secrets=secrets or {},
        attempt=2,
        turn=3,
        resumed=resumed,
        timeout_seconds=timeout_seconds,
        deadline_ms=deadline_ms,
        read_store=control.read,
        is_cancelled=lambda: control.cancelled,
    )
