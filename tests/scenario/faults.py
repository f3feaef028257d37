"""What can go wrong between an engine and its ports: a process dies at any call, or others come in between.

Each engine of a scenario runs in a `Process`, a backend that passes every call on. When a crash strikes, the process is
dead: each further call of it raises, as if nothing of it ran any more; what it has written stays.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from karman_core.ports.backend import Backend
from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import Consumed, Table
from karman_core.ports.timers import Schedules, Timers


class Crashed(BaseException):
    """The process is dead. No Exception, so that no code of a living process catches it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a port, such as `table.update`, with its arguments."""

    name: str
    arguments: tuple[Any, ...]


Interruption = Callable[[Call], Awaitable[None]]


@dataclass(slots=True)
class Faults:
    """What happens at the calls of all processes of a scenario.

    Attributes:
        count: calls so far.
        crash_at: the number of the call at which the process dies, and whether that is after the call took effect.
        before, after: called around every call.
        yields: gives way to other tasks before each call, so often as it draws; None for never.
    """

    count: int = 0
    crash_at: tuple[int, bool] | None = None
    crashes: int = 0
    before: list[Interruption] = field(default_factory=list)
    after: list[Interruption] = field(default_factory=list)
    yields: random.Random | None = None


class Process:
    """One process's view of a backend."""

    def __init__(self, backend: Backend, faults: Faults) -> None:
        self._backend = backend
        self._faults = faults
        self.dead = False
        self.table = cast("Table", _Port(self, "table"))
        self.queue = cast("Queue", _Port(self, "queue"))
        self.timers = cast("Timers", _Port(self, "timers"))
        self.schedules = cast("Schedules", _Port(self, "schedules"))
        self.secrets = cast("Secrets", _Port(self, "secrets"))
        self.blobs = cast("Blobs", _Port(self, "blobs"))
        self.events = cast("Events", _Port(self, "events"))

    def purge(self, now_ms: int) -> None:
        """As the sweeper of a process has it done."""
        self._backend.purge(now_ms)

    def close(self) -> None:
        """The backend belongs to the scenario."""

    @property
    def consumed(self) -> Consumed:
        """The table's."""
        return self._backend.table.consumed

    async def call(self, port: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Pass a call on, unless this process is dead or dies at it."""
        if self.dead:
            raise Crashed
        faults = self._faults
        if faults.yields is not None:
            for _ in range(faults.yields.randrange(4)):
                await asyncio.sleep(0)
        number, call = faults.count, Call(f"{port}.{method}", arguments)
        faults.count += 1
        if faults.crash_at == (number, False):
            self._die()
        for interruption in list(faults.before):
            await interruption(call)
        try:
            result = await getattr(getattr(self._backend, port), method)(*arguments, **options)
            for interruption in list(faults.after):
                await interruption(call)
        finally:
            if faults.crash_at == (number, True):
                self._die()
        return result

    def _die(self) -> None:
        self.dead = True
        self._faults.crashes += 1
        self._faults.crash_at = None
        raise Crashed


class _Port:
    """A port of a process: any method, passed on."""

    def __init__(self, process: Process, port: str) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, method: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._process.call(self._port, method, arguments, options)

        return call


def once(
    list_: list[Interruption], name: str, action: Callable[[], Awaitable[Any]], *, where: Any = None
) -> None:
    """Interrupt the next call of a name (for which `where(call)` holds) by an action, once."""

    async def interrupt(call: Call) -> None:
        if call.name == name and (where is None or where(call)):
            list_.remove(interrupt)
            await action()

    list_.append(interrupt)
