"""Write the golden layout: `python -m tests.upgrade.record`.

It is what a deployment of this release holds, kept for the releases to come. It is recorded again only as long as its
layout was in no release; afterwards a new layout gets a folder of its own, and this one stays as it is.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from karman_core.domain.layouts import FIRST
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Command
from tests.upgrade import scene, snapshots

FOLDER = Path(__file__).parents[1] / "fixtures" / f"layout-{FIRST}"
DEPLOYMENT = FOLDER / "deployment.json"
MESSAGES = FOLDER / "messages.json"


async def recorded() -> tuple[dict[str, Any], dict[str, Any]]:
    """The deployment, with what comes of it, and a message of each kind."""
    world = scene.new_world()
    begun = await scene.begin(world)
    deployment = {**begun, **await snapshots.take(world)}
    await scene.go_on(world, begun["runs"], begun["lease"])
    deployment["ends"] = await scene.ends(world, begun["runs"])
    kinds: dict[str, Any] = {}
    for _, body in world.bodies:
        kinds.setdefault(kind_of(body), body)
    world.backend.close()
    return deployment, kinds


def kind_of(body: str) -> str:
    """The kind of a message."""
    message = decode(body)
    if isinstance(message, Command):
        return message.kind.value
    return type(message).__name__.lower()


def main() -> None:
    """Write the files."""
    deployment, kinds = asyncio.run(recorded())
    FOLDER.mkdir(parents=True, exist_ok=True)
    DEPLOYMENT.write_text(snapshots.text(deployment), encoding="utf-8")
    MESSAGES.write_text(snapshots.text(dict(sorted(kinds.items()))), encoding="utf-8")
    sys.stdout.write(f"{len(deployment['items'])} items, {len(kinds)} kinds of messages\n")


if __name__ == "__main__":
    main()
