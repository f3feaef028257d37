"""`Runtime.start` in a process of its own, ended by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from karman import AsyncClient
from karman_functions.local import serving
from tests.api.client import ADMIN_KEY, NS, Api

WORKER = """
import asyncio
from karman import Node, Runtime

class A(Node, name="a"):
    async def execute(self) -> None:
        print("began", flush=True)
        await asyncio.sleep(0.5)

Runtime([A], name="rt").start()
print("ended", flush=True)
"""


async def test_a_signal_lets_it_finish(api: Api, tmp_path: Path) -> None:
    await api.graph()
    script = tmp_path / "worker.py"
    script.write_text(WORKER, encoding="utf-8")
    async with serving(api.app) as url, AsyncClient(url, api_key=ADMIN_KEY, namespace=NS) as karman:
        environment = {**os.environ, "KARMAN_URL": url, "KARMAN_API_KEY": ADMIN_KEY, "KARMAN_NAMESPACE": NS}
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        started = await karman.trigger("g")
        assert await process.stdout.readline() == b"began\n"
        process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"ended\n"
        assert await process.wait() == 0
        assert (await karman.run(started.run_id)).status == "SUCCEEDED"
