"""The API on a deployment, as a process of its own: `python -m tests.faults.api_on_aws`. It prints its URL."""

from __future__ import annotations

import asyncio

from karman_core.backends.aws import AwsBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_functions.exosphere import exosphere_application
from karman_functions.local import serve
from karman_functions.settings import load_settings
from tests.faults.processes import KEY


async def main() -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    backend = AwsBackend.open(load_settings().aws(), clock=clock, entropy=entropy)
    engine = Engine(backend, clock=clock, entropy=entropy)
    app = exosphere_application(backend, engine, clock=clock, entropy=entropy, admin_key=KEY)
    await serve(app, stop=asyncio.Event(), ready=lambda url: print(url, flush=True))  # noqa: T201  its parent reads it


if __name__ == "__main__":
    asyncio.run(main())
