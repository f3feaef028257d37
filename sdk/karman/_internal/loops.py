"""Event loops, as far as code that may run on one or off one has to know."""

from __future__ import annotations

import asyncio


def on_loop() -> bool:
    """Whether this is called on a running event loop, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
