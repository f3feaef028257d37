"""The API with `/v0` on a database file, as a process of its own: `python -m tests.exosphere.server DATABASE LEASE`.

It prints its URL once it takes requests.
"""

import asyncio
import sys
from pathlib import Path

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_functions.exosphere import ExosphereSettings, exosphere_application
from karman_functions.local import serve
from karman_runtime.cron import CronLoop

KEY = "the-admin-key"


async def main(database: Path, lease_seconds: int) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    backend = EmbeddedBackend.open(database, clock=clock, entropy=entropy)
    engine = Engine(backend, clock=clock, entropy=entropy)
    app = exosphere_application(
        backend,
        engine,
        clock=clock,
        entropy=entropy,
        admin_key=KEY,
        settings=ExosphereSettings(lease_seconds=lease_seconds),
    )
    cron = asyncio.create_task(CronLoop(backend.schedules, engine, clock).run())
    await serve(app, stop=asyncio.Event(), ready=lambda url: print(url, flush=True))  # noqa: T201  its parent reads it
    cron.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
