"""Deployed for real, by the real CDK command line, to an emulated account. The tests go one after the other.

Every node of the examples is executed by a Lambda function from its packaged bundle; only `measure` is a container's.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from examples.agent_loop.agent import graph as agent
from examples.api_harvest.harvest import graph as harvest
from examples.api_harvest.server import Settings, make_record, serving
from examples.document_digest.digest import graph as digest
from karman import Client
from tests.e2e_aws.conftest import Deployed
from tests.e2e_aws.deployment import ROOT, SECONDS, SUCCEEDED, eventually
from tests.e2e_aws.nodes.flow import graph as greeting

pytestmark = pytest.mark.timeout(900)


def test_nodes_were_registered_by_the_deployment(client: Client) -> None:
    runtimes = {node.name: node.runtime for node in client.nodes()}

    assert {"ListDocuments": "digest", "FetchBatch": "harvest", "Think": "agent"}.items() <= runtimes.items()
    assert runtimes["Greet"] == "greetings"


def test_a_second_deployment_would_change_nothing(deployed: Deployed) -> None:
    said = deployed.cdk("diff", "--all", "--fail")

    assert "There were no differences" in said or "Number of stacks with differences: 0" in said


def test_the_digest(client: Client, tmp_path: Path) -> None:
    assert client.put_graph(digest).valid
    inputs = {"folder": str(ROOT / "docs" / "adr"), "out": str(tmp_path / "digest")}
    run = client.trigger(digest.name, inputs, wait=True, wait_timeout=SECONDS)

    assert run.status == SUCCEEDED
    assert run.result is not None
    report = json.loads(Path(str(run.result["json_file"])).read_text(encoding="utf-8"))
    assert run.result["documents"] == len(list((ROOT / "docs" / "adr").glob("*.md")))
    assert report


def test_the_harvest(client: Client, tmp_path: Path) -> None:
    assert client.put_graph(harvest).valid
    with serving(Settings(slow=0, quiet=True)) as api:
        out = tmp_path / "records.jsonl"
        run = client.trigger(
            harvest.name, {"base_url": api.url, "out": str(out)}, wait=True, wait_timeout=300
        )

    assert run.status == SUCCEEDED
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert records == [make_record(api.settings.seed, number) for number in range(1, len(records) + 1)]
    assert run.result is not None
    assert run.result["records"] == len(records) == 200


def test_the_agent_waits_for_a_person(client: Client, tmp_path: Path) -> None:
    assert client.put_graph(agent).valid
    inputs = {
        "task": "calculate 17 * 23 and write a note",
        "documents": str(ROOT / "docs"),
        "notes": str(tmp_path / "notes"),
    }
    run_id = client.trigger(agent.name, inputs).run_id
    eventually(lambda: client.run(run_id).awaiting)
    client.signal(run_id, "approval", {"approved": True})
    eventually(lambda: client.run(run_id).status == SUCCEEDED)
    run = client.run(run_id)

    assert run.result is not None
    assert "391" in str(run.result["answer"])
    assert list((tmp_path / "notes").iterdir())


def test_a_run_goes_through_functions_and_a_container(
    client: Client, container: subprocess.Popen[bytes]
) -> None:
    eventually(lambda: "Measure" in {node.name for node in client.nodes()})
    assert client.put_graph(greeting).valid
    run = client.trigger("greeting", {"name": "Ada"}, wait=True, wait_timeout=SECONDS)

    assert run.status == SUCCEEDED
    assert run.result == {"told": "Hello, Ada! has 8 letters"}
    (measured,) = [state for state in client.states(run.run_id) if state.identifier == "measure"]
    (outputs,) = measured.outputs or ()
    assert outputs["process"] == container.pid


def test_a_node_that_throws_fails_its_run_after_its_retries(
    client: Client, container: subprocess.Popen[bytes]
) -> None:
    assert container.poll() is None
    run = client.trigger("greeting", {"name": "nobody"}, wait=True, wait_timeout=SECONDS)

    assert run.status == "FAILED"
    assert run.error is not None
    assert "nobody to greet" in str(run.error)


def test_cron_starts_a_run_a_minute(client: Client, container: subprocess.Popen[bytes]) -> None:
    assert container.poll() is None

    def by_cron() -> Any:
        ended = [run.run_id for run in client.runs(graph="greeting") if run.status == SUCCEEDED]
        runs = [client.run(run_id) for run_id in ended]
        return [run for run in runs if run.inputs == {"name": "cron"}]

    run, *_ = eventually(by_cron)
    assert run.result == {"told": "Hello, cron! has 9 letters"}
