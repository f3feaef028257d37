# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, T201
"""What an Exosphere user has: nodes on the unmodified `exospherehost`. Run by the SDK's own interpreter, not by ours.

`python sdk_nodes.py runtime URI KEY NAMESPACE NAME NODE,NODE BATCH WORKERS` runs a runtime until it is killed;
`python sdk_nodes.py begin URI KEY NAMESPACE GRAPH < JSON` upserts a graph, triggers it and prints what the SDK gave.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from exospherehost import (
    BaseNode,
    CronTrigger,
    GraphNodeModel,
    PruneSignal,
    ReQueueAfterSignal,
    RetryPolicyModel,
    Runtime,
    StateManager,
    StoreConfigModel,
)
from pydantic import BaseModel


def counted_before(text):
    """Count an execution in the file of `FILE N`; whether it was one before number N."""
    name, number = text.rsplit(" ", 1)
    with Path(name).open("a") as out:
        out.write("x")
    return Path(name).stat().st_size < int(number)


class Base(BaseNode):
    class Inputs(BaseModel):
        text: str

    class Outputs(BaseModel):
        text: str

    class Secrets(BaseModel):
        pass


class Echo(Base):
    async def execute(self):
        return self.Outputs(text=self.inputs.text)


class Shout(Base):
    async def execute(self):
        return self.Outputs(text=self.inputs.text.upper())


class Silent(Base):
    async def execute(self):
        return None


class Fan(Base):
    """As many outputs as its input says."""

    async def execute(self):
        return [self.Outputs(text=str(index)) for index in range(int(self.inputs.text))]


class PruneAll(Base):
    async def execute(self):
        raise PruneSignal({"why": self.inputs.text})


class PruneOdd(Base):
    async def execute(self):
        if int(self.inputs.text) % 2:
            raise PruneSignal({"odd": self.inputs.text})
        return self.Outputs(text=self.inputs.text)


class FailLast(Base):
    """Fails for the input `9`, every time."""

    async def execute(self):
        if self.inputs.text == "9":
            raise ValueError("nine is bad")
        return self.Outputs(text=self.inputs.text)


class Counted(Base):
    """Input: `FILE N`. Counts its executions in the file, fails before number N."""

    async def execute(self):
        if counted_before(self.inputs.text):
            raise ValueError("not yet")
        return self.Outputs(text="done")


class Later(Base):
    """Input: `FILE N`. Counts its executions in the file, asks to be run later before number N."""

    async def execute(self):
        if counted_before(self.inputs.text):
            raise ReQueueAfterSignal(timedelta(seconds=0.5))
        return self.Outputs(text="done")


class TellSecret(Base):
    class Secrets(BaseModel):
        token: str

    async def execute(self):
        return self.Outputs(text=self.inputs.text + self.secrets.token)


class Hang(Base):
    """Input: a file, in which executions are counted. The first one hangs."""

    async def execute(self):
        if counted_before(f"{self.inputs.text} 2"):
            await asyncio.sleep(600)
        return self.Outputs(text="done")


def nodes(names):
    return [globals()[name] for name in names.split(",")]


def run(uri, key, namespace, name, names, batch, workers):
    Runtime(
        namespace,
        name,
        nodes(names),
        state_manager_uri=uri,
        key=key,
        batch_size=int(batch),
        workers=int(workers),
    ).start()


async def begin(uri, key, namespace, graph):
    asked = json.load(sys.stdin)
    manager = StateManager(namespace, state_manager_uri=uri, key=key)
    policy, store, triggers = (asked.get(name) for name in ("retry_policy", "store_config", "triggers"))
    upserted = await manager.upsert_graph(
        graph,
        [GraphNodeModel(**node) for node in asked["nodes"]],
        asked.get("secrets", {}),
        retry_policy=RetryPolicyModel(**policy) if policy else None,
        store_config=StoreConfigModel(**store) if store else None,
        triggers=[CronTrigger(expression=text) for text in triggers] if triggers else None,
        polling_interval=0.05,
    )
    return {"graph": upserted, "triggered": await manager.trigger(graph, **asked.get("trigger", {}))}


if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    if action == "runtime":
        run(*arguments)
    else:
        print(json.dumps(asyncio.run(begin(*arguments))))
