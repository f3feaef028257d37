"""`karman dev` while its code is edited: changed files are loaded, and code that cannot be used is not taken."""

from __future__ import annotations

from collections.abc import Callable

from karman_cli.live_code import Code, Workers
from karman_cli.output import note
from karman_core.domain.errors import KarmanError
from karman_core.ports.system import Clock
from karman_runtime.sources import Sources, Stamps

LOOK_SECONDS = 0.25


async def reload_forever(
    sources: Sources, known: Stamps, load: Callable[[], Code], workers: Workers, clock: Clock
) -> None:
    """Look at the files four times a second, and load them once they have changed and rest.

    Args:
        known: what they were like when they were loaded last.
    """
    while True:
        await clock.sleep(LOOK_SECONDS)
        seen = sources.stamps()
        if seen == known:
            continue
        await clock.sleep(LOOK_SECONDS)
        if sources.stamps() != seen:
            continue  # still being written
        await _reload(sources, load, workers)
        # Files that are new to it are known as they are; of the others, as they were before they were read.
        known = {**sources.stamps(), **seen}


async def _reload(sources: Sources, load: Callable[[], Code], workers: Workers) -> None:
    try:
        with sources.afresh():
            code = load()
            await workers.take(code)
    except KarmanError as error:
        note(f"not reloaded, the code before goes on: {error}")
    except Exception as error:  # noqa: BLE001  whatever is wrong with edited code, it will be edited again
        note(f"not reloaded, the code before goes on: {type(error).__name__}: {error}")
    else:
        note(f"reloaded: {len(code.nodes)} nodes, graphs {', '.join(code.graph_names) or 'none'}")
