"""A worker process of the crash test: the real worker on a database file, with a short lease."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from karman._internal.execution import NodeExecutor
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine, EngineSettings
from karman_runtime.worker import Worker
from tests.crash.graph import build

NAMESPACE, RUNTIME = "crash", "workers"
QUEUE = f"{NAMESPACE}/{RUNTIME}"
LEASE_SECONDS = 2
SETTINGS = EngineSettings(lease_seconds=LEASE_SECONDS, direct_branches=5, shard_width=5, crash_limit=1_000)


def open_engine(path: Path) -> tuple[EmbeddedBackend, Engine, NodeExecutor]:
    clock, entropy = SystemClock(), SystemEntropy()
    backend = EmbeddedBackend.open(path, clock=clock, entropy=entropy)
    executor = NodeExecutor(build().nodes)
    engine = Engine(backend, clock=clock, entropy=entropy, executor=executor, settings=SETTINGS)
    return backend, engine, executor


async def work(path: Path) -> None:
    backend, engine, _ = open_engine(path)
    worker = Worker(
        engine,
        backend.queue,
        [QUEUE],
        clock=SystemClock(),
        concurrency=6,
        lease_seconds=LEASE_SECONDS,
        grace_seconds=1,
        max_receives=1_000,
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
