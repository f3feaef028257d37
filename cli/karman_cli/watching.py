"""Watches one run: from observations of this process, and by reading it now and then for what others do to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from karman_cli.displays import Display
from karman_cli.progress import Progress
from karman_cli.run_texts import command_line
from karman_core.domain.definition import GraphDefinition
from karman_core.ports.observer import Observation, RunEnded
from karman_core.ports.system import Clock

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import RunView

LOOK_SECONDS = 1.0
"""How often the run is read: it may be cancelled, paused or signalled by another process."""


class Watch:
    """The engine's observer in `karman run`."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.noticed = asyncio.Event()
        """Set when the run's end was observed."""

    def follow(self, definition: GraphDefinition, run_id: str) -> Progress:
        """Count what happens to a run from now on."""
        self.progress = Progress(definition)
        self.progress.run_id = run_id
        return self.progress

    def observe(self, observation: Observation) -> None:
        """Take note."""
        if self.progress is None:
            return
        self.progress.observe(observation)
        if isinstance(observation, RunEnded) and observation.run_id == self.progress.run_id:
            self.noticed.set()


class News:
    """Tells what a run waits for, and how to go on: each once, as long as it is so."""

    def __init__(self, run_id: str, where: tuple[str, ...]) -> None:
        """Make it; `where` are options that lead another terminal to the same place and namespace."""
        self._run_id = run_id
        self._where = where
        self._said: set[str] = set()

    def tell(self, run: RunView, display: Display) -> None:
        """Say what is new."""
        news = {
            f"waiting for the signal '{name}'; send it from another terminal:\n"
            f"  {self.command('signal', name, '--payload', '{}')}"
            for name in run.awaiting
        }
        if run.status == "PAUSED":
            news.add(f"the run is paused; to go on:\n  {self.command('resume')}")
        if run.queued_for is not None:
            news.add(f"waiting for {run.queued_for}")
        for text in sorted(news - self._said):
            display.say(text)
        self._said = news

    def command(self, name: str, *more: str) -> str:
        """A command about this run, to be pasted into another terminal."""
        return command_line(name, self._run_id, *more, *self._where)


class Lookout:
    """Reads a run until it has ended, and says what it waits for."""

    def __init__(
        self, engine: Engine, clock: Clock, namespace: str, run_id: str, *, where: tuple[str, ...]
    ) -> None:
        """Make a lookout.

        Args:
            engine: reads the run.
            clock: to see that the run's deadline has passed.
            namespace: of the run.
            run_id: the run.
            where: options that lead another terminal to the same database and namespace.
        """
        self._engine = engine
        self._clock = clock
        self._namespace = namespace
        self._run_id = run_id
        self._news = News(run_id, where)

    async def until_ended(self, noticed: asyncio.Event, display: Display) -> RunView:
        """The run as it ended. `noticed` makes it look at once."""
        while True:
            noticed.clear()
            run = await self._engine.get_run(self._namespace, self._run_id)
            if run.ended:
                return run
            self._news.tell(run, display)
            if self._clock.now_ms() > run.deadline_ms:
                await self._engine.sweep()  # which ends what is overdue, should nothing else be under way
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await noticed.wait()
            except TimeoutError:
                continue
