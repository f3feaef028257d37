"""Worker, engine, nodes and a database file together."""

import asyncio
from pathlib import Path

import pytest

from karman import Graph, node
from karman_core.domain.errors import BackendError, InvalidRequest
from karman_core.engine.views import RunView
from karman_runtime.composition import Assembly, assembled
from karman_runtime.settings import Settings
from tests.runtime.workers import eventually

NAMESPACE, RUNTIME = "default", "test"
QUEUE = f"{NAMESPACE}/{RUNTIME}"


@node
async def numbers(count: int) -> list[int]:
    return list(range(count))


@node
async def double(number: int) -> int:
    return 2 * number


@node
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


class Visits:
    """How often the node below began; its first visit never ends by itself."""

    began = 0


@node
async def visited() -> str:
    Visits.began += 1
    if Visits.began == 1:
        await asyncio.Event().wait()
    return "done"


def sums() -> Graph:
    graph = Graph("sums")
    many = graph.add(numbers)
    each = graph.add(double, number=many.outputs.result)
    total = graph.add(add_up, unites=many, numbers=each.outputs.result)
    _ = many >> each >> total
    return graph


async def begin(assembly: Assembly, graph: Graph, inputs: dict[str, object]) -> str:
    await assembly.engine.register_nodes(NAMESPACE, assembly.executor.registered(RUNTIME))
    await assembly.engine.put_graph(NAMESPACE, graph.definition())
    return (await assembly.engine.trigger(NAMESPACE, graph.name, inputs=inputs)).run_id


async def ended(assembly: Assembly, run_id: str) -> RunView:
    while True:
        run = await assembly.engine.get_run(NAMESPACE, run_id)
        if run.ended:
            return run
        await asyncio.sleep(0.005)


async def test_a_run_from_its_trigger_to_its_result(tmp_path: Path) -> None:
    graph = sums()
    with assembled(Settings(), tmp_path / "karman.db", nodes=graph.nodes) as assembly:
        run_id = await begin(assembly, graph, {"count": 30})
        worker = assembly.worker([QUEUE])
        await worker.run_until(ended(assembly, run_id))
        run = await assembly.engine.get_run(NAMESPACE, run_id)
        depth = await assembly.backend.queue.depth(QUEUE)

    assert run.result == {"result": 870}
    assert run.totals.succeeded == 32
    assert (depth.ready, depth.in_flight) == (0, 0)
    assert worker.snapshot().failed == 0


async def test_work_that_a_stopping_worker_gives_back_is_done_by_the_next_one(tmp_path: Path) -> None:
    Visits.began = 0
    graph = Graph("long")
    graph.add(visited)
    settings = Settings(lease_seconds=3_600)  # nobody waits for its end
    with assembled(settings, tmp_path / "karman.db", nodes=graph.nodes) as assembly:
        run_id = await begin(assembly, graph, {})
        first = assembly.worker([QUEUE], grace_seconds=0)
        running = asyncio.create_task(first.run())
        await eventually(lambda: Visits.began == 1)
        first.stop()
        await running
        second = assembly.worker([QUEUE])
        async with asyncio.timeout(60):
            await second.run_until(ended(assembly, run_id))
        run = await assembly.engine.get_run(NAMESPACE, run_id)

    assert run.status == "SUCCEEDED"
    assert Visits.began == 2


def test_a_deployment_has_to_be_named() -> None:
    with (
        pytest.raises(InvalidRequest, match="KARMAN_TABLE is not set"),
        assembled(Settings(backend="aws"), None),
    ):
        pass


def test_the_embedded_backend_needs_a_file() -> None:
    with pytest.raises(InvalidRequest, match="--db FILE"), assembled(Settings(), None):
        pass


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("no database, but a text that is long enough to look like one" * 20, encoding="utf-8")

    with pytest.raises(BackendError, match=r"notes\.db"), assembled(Settings(), path):
        pass
