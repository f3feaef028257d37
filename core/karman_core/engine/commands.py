"""Commands: what is asked of a run from outside or by a timer.

Each is applied by compare-and-set, so applying one twice, or by two workers at once, does what applying it once does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karman_core.domain.messages import Command, CommandKind
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.purging import Purger
from karman_core.engine.reopening import Reopener
from karman_core.engine.skipping import Skipper
from karman_core.engine.waiting import Waits


class Commands:
    """Applies commands."""

    def __init__(
        self, lifecycle: Lifecycle, waits: Waits, reopener: Reopener, skipper: Skipper, purger: Purger
    ) -> None:
        self._lifecycle = lifecycle
        self._waits = waits
        self._reopener = reopener
        self._skipper = skipper
        self._purger = purger

    async def apply(self, command: Command, *, thorough: bool) -> None:
        """Do what is asked.

        Args:
            thorough: it may have been applied in part before.
        """
        namespace, run_id, arguments = command.namespace, command.run_id, command.arguments
        match command.kind:
            case CommandKind.SIGNAL if arguments.get("kept"):
                await self._waits.match(namespace, run_id, arguments["name"], thorough=thorough)
            case CommandKind.SIGNAL:
                name, signal_id = arguments["name"], arguments["id"]
                await self._waits.take(
                    namespace, run_id, name, signal_id, arguments.get("payload"), thorough=thorough
                )
            case CommandKind.TIMEOUT:
                if command.then is not None:
                    await self._waits.time_out(arguments["name"], command.then)
            case _:
                await self._operate(command, namespace, run_id, arguments)

    async def _operate(
        self, command: Command, namespace: str, run_id: str, arguments: Mapping[str, Any]
    ) -> None:
        """What people ask of a run, and its end."""
        match command.kind:
            case CommandKind.CANCEL:
                await self._lifecycle.cancel(namespace, run_id)
            case CommandKind.DEADLINE:
                await self._lifecycle.expire(namespace, run_id)
            case CommandKind.PAUSE:
                await self._lifecycle.pause(namespace, run_id, arguments["control"])
            case CommandKind.RESUME:
                await self._lifecycle.resume(namespace, run_id, arguments["control"])
            case CommandKind.RETRY | CommandKind.RETRY_STATE:
                await self._reopener.reopen(namespace, run_id, arguments["epoch"], arguments.get("state"))
            case CommandKind.SKIP:
                await self._skipper.apply(command)
            case CommandKind.PURGE:
                await self._purger.apply(command)
