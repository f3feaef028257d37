"""Leased work that has to fit into one answer: what does not is given back at once, to be polled for again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from karman_core.engine import Engine
from karman_core.engine.views import Work

MOST_BYTES_A_CHARACTER: Final = 6
"""A control character in JSON: `\\u0001`."""


def bytes_in_json(text: str) -> int:
    """How much room a text takes in a function's answer, which is JSON in UTF-8."""
    return len(json.dumps(text, ensure_ascii=False).encode())


async def fitting(engine: Engine, namespace: str, work: Sequence[Work], limit: int | None) -> Sequence[Work]:
    """The first of them, as many as an answer of so many bytes holds. The others are released, which counts nothing.

    One that is too large by itself stays: it may be small enough when it is compressed.
    """
    if limit is None or len(work) == 1:
        return work
    room, kept = limit, 0
    for one in work:
        room -= bytes_in_json(json.dumps(asdict(one), ensure_ascii=False))
        if room < 0 and kept:
            break
        kept += 1
    for one in work[kept:]:
        await engine.release(namespace, one.state_id, one.lease)
    return work[:kept]
