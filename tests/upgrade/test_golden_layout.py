"""What the first layout left in tables and queues, this release reads, and brings to its end."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from karman_core.domain.layouts import FIRST, LAYOUT, layout_of
from karman_core.domain.message_bodies import decode, encode
from karman_core.domain.messages import CommandKind
from karman_core.engine import keys
from tests.scenario.harness import NS, World
from tests.upgrade import scene, snapshots
from tests.upgrade.record import DEPLOYMENT, MESSAGES, kind_of, recorded
from tests.upgrade.releases import ADDED

RECORDED: dict[str, Any] = json.loads(DEPLOYMENT.read_text(encoding="utf-8"))
BODIES: dict[str, str] = json.loads(MESSAGES.read_text(encoding="utf-8"))

HOW = "record it: add it to tests/upgrade/scene.py, then python -m tests.upgrade.record"

LATER: frozenset[str] = frozenset()
"""Kinds of items, by the word after the namespace in the table of `keys`, that the first layout does not have."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = scene.new_world()
    yield made
    made.backend.close()


def documented_kinds() -> dict[str, list[tuple[re.Pattern[str], re.Pattern[str]]]]:
    """Kinds of items as the table of `keys` has them: the row, and what the keys of each of its kinds look like."""
    kinds = {}
    for line in (keys.__doc__ or "").splitlines():
        if not line.startswith("    {ns}"):
            continue
        partitions, sorts, *_ = re.split(r"  +", line.strip())
        pk = re.compile("|".join(f"(?:{_pattern(each)})" for each in partitions.split(" | ")))
        kinds[partitions] = [(pk, re.compile(_pattern(each))) for each in sorts.split(" | ")]
    return kinds


def _pattern(words: str) -> str:
    """A key's words as a regular expression: {names} stand for anything, [brackets] need not be."""
    escaped = re.escape(words).replace(r"\#", "#").replace(r"\{ns\}", NS)
    escaped = re.sub(r"\\\{\w+\\\}", "[^#]*", escaped)
    return escaped.replace(r"\[", "(?:").replace(r"\]", ")?").replace(r"\.\.", ".*")


def test_every_kind_of_item_is_in_it() -> None:
    kinds = documented_kinds()
    assert len(kinds) >= 15
    for row, patterns in kinds.items():
        for pk, sk in patterns:
            found = any(pk.fullmatch(item["pk"]) and sk.fullmatch(item["sk"]) for item in RECORDED["items"])
            assert found or re.split(r"\W+", row)[2] in LATER, f"{row} {sk.pattern}: {HOW}"


def test_every_item_is_of_a_kind_that_is_documented() -> None:
    patterns = [pair for pairs in documented_kinds().values() for pair in pairs]
    strays = {
        item["pk"]
        for item in RECORDED["items"]
        if not any(pk.fullmatch(item["pk"]) and sk.fullmatch(item["sk"]) for pk, sk in patterns)
    }
    assert strays <= {f"{NS}#exosphere", "#namespaces", "sweeper"}


def test_it_is_of_the_first_layout() -> None:
    assert {layout_of(snapshots.item_of(item)) for item in RECORDED["items"]} == {FIRST}
    assert {json.loads(body)["karman"] for body in BODIES.values()} == {FIRST}


@pytest.mark.parametrize("kind", ["advance", "range", *(kind.value for kind in CommandKind)])
def test_every_kind_of_message_is_read_as_it_was_written(kind: str) -> None:
    assert kind in BODIES, f"{kind}: {HOW}"
    message = decode(BODIES[kind])
    assert kind_of(BODIES[kind]) == kind
    assert decode(encode(message)) == message


async def test_every_run_of_it_ends_as_it_would_have(world: World) -> None:
    await snapshots.put_back(world, RECORDED)
    await scene.go_on(world, RECORDED["runs"], RECORDED["lease"])
    assert await scene.ends(world, RECORDED["runs"]) == RECORDED["ends"]
    assert not world.backend.queue.dead_letters("ns/rt")
    assert world.messages_left() == 0


def with_additions(snapshot: dict[str, Any]) -> dict[str, Any]:
    """As a later release writes it that has added to every item and message what the layout's number does not tell."""

    def added(message: dict[str, Any]) -> dict[str, Any]:
        return {**message, "body": json.dumps({**json.loads(message["body"]), ADDED: {"x": 1}})}

    return {
        **snapshot,
        "items": [{**item, ADDED: "kept"} for item in snapshot["items"]],
        "messages": [added(message) for message in snapshot["messages"]],
        "timers": [added(timer) for timer in snapshot["timers"]],
    }


async def test_what_a_later_release_adds_is_neither_minded_nor_lost(world: World) -> None:
    await snapshots.put_back(world, with_additions(RECORDED))
    await scene.go_on(world, RECORDED["runs"], RECORDED["lease"])
    assert await scene.ends(world, RECORDED["runs"]) == RECORDED["ends"]

    before = {(item["pk"], item["sk"]): item for item in RECORDED["items"]}
    after = {(item["pk"], item["sk"]): item for item in (await snapshots.take(world))["items"]}
    changed = [key for key in before.keys() & after.keys() if after[key] != {**before[key], ADDED: "kept"}]
    lost = {key for key in changed if ADDED not in after[key]}
    assert {"header", "join"} <= {key[1] for key in changed if key not in lost}
    assert all("#store" in pk or sk == "bookmark" for pk, sk in lost)  # what is written whole, each time


async def test_a_deployment_of_now_ends_in_the_same_way() -> None:
    """That what was recorded is what the scene still makes: else the recording tests something else."""
    if LAYOUT == FIRST:
        deployment, _ = await recorded()
        assert deployment["ends"] == RECORDED["ends"]


async def test_lists_and_keys_of_it_are_read(world: World) -> None:
    await snapshots.put_back(world, RECORDED)
    found = {run.run_id for run in (await world.engine.list_runs(NS, limit=100)).runs}
    assert {run_id for name, run_id in RECORDED["runs"].items() if name != "purged"} <= found
    entries = (await world.engine.audit.page(NS)).entries
    assert {entry.action for entry in entries} >= {"cancel", "skip"}
