"""The graph that the crash test kills workers under: nested groups, a store, retries, and a chain behind the unites."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from pathlib import Path

from pydantic import BaseModel

from karman import Graph, Node, Retry

WIDTH = 12
SECTIONS = 12
PAUSE_SECONDS = 0.4
JOURNAL = "JOURNAL"
GATE = "GATE"
"""Environment variable with the path of a file without which the run does not end."""


def note(kind: str, state_id: str) -> str:
    """Write an execution down, outside of Karman, and give it a name of its own."""
    token = uuid.uuid4().hex
    line = f"{kind} {state_id} {token}\n"
    file = os.open(Path(os.environ[JOURNAL]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    return token


class Item(BaseModel):
    token: str
    number: int = 0


class Documents(Node):
    Outputs = Item

    async def execute(self) -> list[Item]:
        token = note("documents", self.ctx.state_id)
        return [Item(token=token, number=number) for number in range(WIDTH)]


class Sections(Node):
    class Inputs(BaseModel):
        number: int

    Outputs = Item

    async def execute(self) -> list[Item]:
        token = note("sections", self.ctx.state_id)
        await asyncio.sleep(PAUSE_SECONDS)
        return [Item(token=token, number=self.inputs.number * 100 + number) for number in range(SECTIONS)]


class Analyse(Node):
    class Inputs(BaseModel):
        number: int

    Outputs = Item

    def execute(self) -> Item:
        token = note("analyse", self.ctx.state_id)
        time.sleep(PAUSE_SECONDS)
        if self.inputs.number % 7 == 0 and self.ctx.attempt == 1:
            message = "the first attempt of every seventh fails"
            raise ValueError(message)
        return Item(token=token, number=self.inputs.number)


class Gather(Node):
    class Inputs(BaseModel):
        numbers: list[int]
        tokens: list[str]

    class Outputs(BaseModel):
        token: str
        total: int
        tokens: list[str]

    async def execute(self) -> Outputs:
        token = note("gather", self.ctx.state_id)
        self.ctx.store.increment("gathered", 1)
        return self.Outputs(token=token, total=sum(self.inputs.numbers), tokens=self.inputs.tokens)


class Report(Node):
    class Inputs(BaseModel):
        totals: list[int]
        tokens: list[list[str]]

    class Outputs(BaseModel):
        token: str
        total: int
        tokens: list[list[str]]

    async def execute(self) -> Outputs:
        token = note("report", self.ctx.state_id)
        await asyncio.sleep(PAUSE_SECONDS)
        while not Path(os.environ[GATE]).exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(PAUSE_SECONDS)
        return self.Outputs(token=token, total=sum(self.inputs.totals), tokens=self.inputs.tokens)


def build() -> Graph:
    graph = Graph("crash", retry=Retry.fixed(3, delay=0.1))
    documents = graph.add(Documents, "documents")
    sections = graph.add(Sections, "sections", number=documents.outputs.number)
    analyse = graph.add(Analyse, "analyse", number=sections.outputs.number)
    gather = graph.add(
        Gather,
        "gather",
        numbers=analyse.outputs.number,
        tokens=analyse.outputs.token,
        unites=sections,
    )
    report = graph.add(
        Report, "report", totals=gather.outputs.total, tokens=gather.outputs.tokens, unites=documents
    )
    documents >> sections >> analyse >> gather >> report
    return graph
