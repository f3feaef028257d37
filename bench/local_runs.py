"""How fast runs go on the embedded backend, and in how much memory: `python -m bench local-runs`.

Each run is a process of its own, the real worker on a database file, so that its peak memory is the worker's.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.write_units import NAMESPACE, QUEUE, RUNTIME, chain, fork
from karman import Graph
from karman._internal.execution import NodeExecutor
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_runtime.worker import Worker

CASES = {"chain": chain, "fork": fork}


async def run(graph: Graph, path: Path) -> tuple[int, float]:
    """Run a graph to its end; the number of states, and seconds."""
    clock, entropy = SystemClock(), SystemEntropy()
    backend, executor = EmbeddedBackend.open(path, clock=clock, entropy=entropy), NodeExecutor(graph.nodes)
    engine = Engine(backend, clock=clock, entropy=entropy, executor=executor)
    await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
    view = await engine.put_graph(NAMESPACE, graph.build())
    worker = Worker(engine, backend.queue, [QUEUE], clock=clock)
    begun = time.perf_counter()
    started = await engine.trigger(NAMESPACE, view.name)

    async def ended() -> None:
        while not (await engine.get_run(NAMESPACE, started.run_id)).ended:
            await asyncio.sleep(0.05)

    await worker.run_until(ended())
    seconds = time.perf_counter() - begun
    result = await engine.get_run(NAMESPACE, started.run_id)
    if result.status != "SUCCEEDED":
        raise RuntimeError(str(result))
    return result.totals.succeeded, seconds


def measure(case: str, size: int) -> tuple[int, float, float]:
    """States, seconds and peak memory in MB of a run in a process of its own."""
    command = [sys.executable, "-m", "bench.local_runs", case, str(size)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout  # noqa: S603
    states, seconds, memory = printed.split()
    return int(states), float(seconds), float(memory)


def _peak_mb() -> float:
    """Peak memory of this process. Linux counts a parent's into ru_maxrss, so its own status is asked first."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main() -> None:
    case, size = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        states, seconds = asyncio.run(run(CASES[case](size), Path(folder) / "bench.db"))
    print(states, f"{seconds:.3f}", f"{_peak_mb():.1f}")


if __name__ == "__main__":
    _main()
