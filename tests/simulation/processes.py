"""Processes of a simulation: each has a view of the ports of its own, a clock that may be wrong, and can die."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from karman_core.domain.errors import KarmanError
from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import Consumed, Table
from karman_core.ports.timers import Schedules, Timers

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

CURRENT: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
PORTS = ("table", "queue", "timers", "schedules", "secrets", "blobs", "events")


class Dead(BaseException):
    """The process has died. No Exception, so that no code of a living process catches it."""


@dataclass(slots=True, eq=False)
class Call:
    """A call of a port that waits until the scheduler lets it happen."""

    process: Process
    port: str
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    future: asyncio.Future[Any]
    number: int

    @property
    def name(self) -> str:
        """As coverage counts it: `table.update`."""
        return f"{self.port}.{self.method}"

    @property
    def waits(self) -> bool:
        """Whether it returns only when there is a message."""
        return self.method == "receive" and self.options.get("wait_seconds", 0) > 0


@dataclass(slots=True, eq=False)
class Process:
    """One process. `stalled_ms`: it stands still until then, as if it had been stopped by a signal."""

    simulation: Simulation
    name: str
    skew_ms: int = 0
    dead: bool = False
    stalled_ms: int = 0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    ports: Ports = field(init=False)

    def __post_init__(self) -> None:
        """Make the ports."""
        self.ports = Ports(self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in this process."""
        context = contextvars.copy_context()
        context.run(CURRENT.set, self)
        return self.simulation.loop.create_task(work, context=context)

    def now_ms(self) -> int:
        """What time this process thinks it is."""
        return self.simulation.now_ms() + self.skew_ms

    async def sleep(self, seconds: float) -> None:
        """Return after so much time, or when the process goes on again."""
        await asyncio.sleep(max(seconds, 0.001))
        while not self.dead and self.simulation.now_ms() < self.stalled_ms:  # noqa: ASYNC110  time is simulated
            await asyncio.sleep((self.stalled_ms - self.simulation.now_ms()) / 1000)
        if self.dead:
            raise Dead


class Ports:
    """A backend as a process sees it: every call waits for the scheduler."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.table = cast("Table", _Port(process, "table"))
        self.queue = cast("Queue", _Port(process, "queue"))
        self.timers = cast("Timers", _Port(process, "timers"))
        self.schedules = cast("Schedules", _Port(process, "schedules"))
        self.secrets = cast("Secrets", _Port(process, "secrets"))
        self.blobs = cast("Blobs", _Port(process, "blobs"))
        self.events = cast("Events", _Port(process, "events"))

    def purge(self, now_ms: int) -> None:
        """As the sweeper has it done."""
        if self._process.dead:
            raise Dead
        self._process.simulation.backend.purge(now_ms)

    def close(self) -> None:
        """The backend belongs to the simulation."""


def perform(work: Coroutine[Any, Any, Any]) -> tuple[Any, KarmanError | None]:
    """What a call of the embedded backend gives; it never waits."""
    try:
        while True:
            work.send(None)
    except StopIteration as done:
        return done.value, None
    except KarmanError as error:
        return None, error


class _Port:
    """A port of a process: any method, as a call that waits its turn."""

    def __init__(self, process: Process, port: str) -> None:
        self._process = process
        self._port = port

    @property
    def consumed(self) -> Consumed:
        """The table's counters."""
        return self._process.simulation.backend.table.consumed

    def __getattr__(self, method: str) -> Any:
        process, port = self._process, self._port

        async def call(*arguments: Any, **options: Any) -> Any:
            return await process.simulation.enqueue(process, port, method, arguments, options)

        self.__dict__[method] = call
        return call
