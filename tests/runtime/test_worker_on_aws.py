"""A worker on the AWS backend: the services are moto's, everything else is real."""

import asyncio
from collections.abc import Iterator

import pytest
from moto import mock_aws

from karman import Graph, node
from karman_core.backends.aws import AwsBackend
from karman_core.backends.aws.schema import create_table
from karman_runtime.composition import assembled
from karman_runtime.settings import Settings, load_settings
from tests.contract.backends.moto import _one_at_a_time

ENVIRONMENT = {
    "KARMAN_BACKEND": "aws",
    "KARMAN_TABLE": "karman-test",
    "KARMAN_PREFIX": "test",
    "KARMAN_REGION": "us-east-1",
}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@node
async def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    _one_at_a_time()
    with mock_aws():
        yield load_settings(ENVIRONMENT)


def test_the_habits_of_a_worker_there(settings: Settings) -> None:
    with assembled(settings, None) as assembly:
        assert assembly.habits.max_receives is None  # SQS sees to that
        assert assembly.habits.lease_seconds == 60
    with assembled(settings.model_copy(update={"lease_seconds": 5}), None) as assembly:
        assert assembly.habits.lease_seconds == 5


async def test_a_run_from_its_trigger_to_its_result(settings: Settings) -> None:
    graph = Graph("doubling")
    graph.add(double)
    with assembled(settings, None, nodes=graph.nodes) as assembly:
        assert isinstance(assembly.backend, AwsBackend)
        await create_table(assembly.backend.clients, "karman-test")
        await assembly.engine.register_nodes("default", assembly.executor.registered("test"))
        await assembly.engine.put_graph("default", graph.definition())
        run_id = (await assembly.engine.trigger("default", "doubling", inputs={"number": 21})).run_id

        async def ended() -> None:
            while True:
                if (await assembly.engine.get_run("default", run_id)).ended:
                    return
                await asyncio.sleep(0.01)

        worker = assembly.worker(["default/test"])
        await worker.run_until(ended())
        run = await assembly.engine.get_run("default", run_id)

    assert run.status == "SUCCEEDED"
    assert run.result == {"result": 42}
    assert worker.snapshot().finished == 1
