"""The worker over HTTP: for machines that reach Karman's API and nothing else.

Ending has two steps. *Stopping*: nothing more is leased, what has not begun is released, so that another worker has it
at once, and what runs may finish, for `grace_seconds`. *Giving back*: what still runs is cancelled and released.
Reports are finished in both.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress

from karman._internal.execution import DEFAULT_THREADS, NodeExecutor
from karman._internal.functions import NodeLike
from karman._internal.http.async_client import AsyncClient
from karman._internal.http.failures import Backoff
from karman._internal.http.turns import SHORTEST_LEASE_SECONDS, Turn
from karman.errors import InvalidRequest, KarmanError
from karman_core.backends.system import SystemEntropy
from karman_core.engine.views import Work

POLL_SECONDS = 20.0
_MAX_LEASE_SECONDS = 3_600
_MAX_WORK = 10
_REPORT_SECONDS = 10.0
"""How long reports may take beyond the grace."""

_QUICK_SECONDS = 1.0
"""A poll that finds nothing sooner than this was not held: the server does not know the nodes (any more)."""

_log = logging.getLogger("karman.runtime")


class Runtime:
    """Runs nodes for a server that it asks for work over HTTP.

        Runtime([Fetch, Parse], name="documents").start()

    It registers its nodes, leases states that run them, runs several at a time and reports how they ended. A server
    that does not answer is waited for. A server that refuses the key is not.

    Args:
        nodes: node classes, or functions made nodes by `@node`.
        name: of the runtime; runtimes of one name share the work.
        url, api_key, namespace, profile: as of `AsyncClient`; the key needs the scope `worker`.
        client: instead of these; it is not closed.
        concurrency: how many states run at a time.
        lease_seconds: how long a state waits for the next worker if this one dies; 10 to 3,600. Long nodes need no
            longer ones, as leases are renewed.
        grace_seconds: how long nodes may take to finish once the runtime stops.
        threads: how many nodes that are no `async def` run at a time.

    Raises:
        InvalidRequest: an argument is malformed, or no server is known.
        InvalidNode: two nodes have the same name, or one is no node.
    """

    def __init__(  # noqa: PLR0913 - options, named at the call
        self,
        nodes: Iterable[NodeLike],
        *,
        name: str,
        url: str | None = None,
        api_key: str | None = None,
        namespace: str | None = None,
        profile: str | None = None,
        client: AsyncClient | None = None,
        concurrency: int = 10,
        lease_seconds: int = 60,
        grace_seconds: float = 30.0,
        threads: int = DEFAULT_THREADS,
        backoff: Backoff | None = None,
    ) -> None:
        if not SHORTEST_LEASE_SECONDS <= lease_seconds <= _MAX_LEASE_SECONDS or concurrency < 1:
            raise InvalidRequest("lease_seconds must be 10 to 3600, concurrency at least 1.")
        self._executor = NodeExecutor(nodes, threads=threads)
        self._registered = self._executor.registered(name)
        if not self._registered:
            raise InvalidRequest("The runtime has no nodes.")
        self._name = name
        self._closes = client is None
        self._client = client or AsyncClient(
            url, api_key=api_key, namespace=namespace, profile=profile, backoff=backoff
        )
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._backoff = backoff or Backoff()
        self._entropy = SystemEntropy()
        self._turns: dict[asyncio.Task[None], Turn] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self._failure: KarmanError | None = None

    def __repr__(self) -> str:
        return f"<Runtime '{self._name}' of {len(self._registered)} nodes for {self._client!r}>"

    def start(self) -> None:
        """Work until the process is asked to end (SIGINT, SIGTERM), then stop. Blocks."""
        asyncio.run(self._until_signalled())

    async def run(self) -> None:
        """Work until `stop`; returns when all is finished or given back. Once only.

        Raises:
            KarmanError: what no waiting helps against: the key is refused, the nodes are.
        """
        if self._stop is not None:
            raise InvalidRequest("A runtime runs once; make another one.")
        self._stop = asyncio.Event()
        if self._stopping:
            self._stop.set()
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            if self._closes:
                stack.push_async_callback(self._client.close)
            stack.callback(self._executor.close)
            stack.push_async_callback(self._drain)
            await self._until_stopped(self._stop)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Lease nothing more, and finish. From any thread or signal handler; again is no error."""
        self._stopping = True
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stop.set)

    async def _until_signalled(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows; there Ctrl+C cancels
                loop.add_signal_handler(number, self.stop)
        await self.run()

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        """Lease work; a poll under way when the runtime stops is given up."""
        polling = asyncio.create_task(self._poll_all())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({polling, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            polling.cancel()
            stopped.cancel()
            await asyncio.wait({polling, stopped})
        if not polling.cancelled() and (error := polling.exception()) is not None:
            raise error

    async def _poll_all(self) -> None:
        known, failures = False, 0
        while self._failure is None:
            await self._free_place()
            began = time.monotonic()
            try:
                if not known:
                    await self._register()
                    known = True
                work = await self._poll()
            except KarmanError as error:
                if not _passes(error):
                    raise
                known, failures = False, failures + 1  # it may be another server that comes back
                _log.warning("server_unavailable", extra={"code": error.code, "failures": failures})
                await asyncio.sleep(self._backoff.pause(failures, self._entropy.uniform()))
                continue
            failures = 0
            for each in work:
                self._begin(each)
            if not work and time.monotonic() - began < _QUICK_SECONDS:
                known = False
                await asyncio.sleep(_QUICK_SECONDS)

    async def _free_place(self) -> None:
        while len(self._turns) >= self._concurrency:
            await asyncio.wait(self._turns, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # lets `_ended` be called

    async def _register(self) -> None:
        registration = await self._client.register_nodes(self._name, self._registered)
        for graph in registration.broken:
            _log.warning("graph_broken_by_registration", extra={"graph": graph})

    async def _poll(self) -> tuple[Work, ...]:
        free = min(_MAX_WORK, self._concurrency - len(self._turns))
        return await self._client.poll(
            [node.name for node in self._registered],
            limit=free,
            wait_seconds=POLL_SECONDS,
            lease_seconds=self._lease_seconds,
        )

    def _begin(self, work: Work) -> None:
        turn = Turn(self._client, self._executor, work, self._lease_seconds)
        task = asyncio.create_task(turn.run(), name=f"karman {work.state_id}")
        self._turns[task] = turn
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._turns[task]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        _log.error("turn_failed", exc_info=error)
        if isinstance(error, KarmanError) and error.status in _REFUSED:
            self._failure = error
            self.stop()

    async def _drain(self) -> None:
        """End in the two steps."""
        if not self._turns:
            return
        for turn in self._turns.values():
            if not turn.begun:
                turn.give_up()
        await asyncio.wait(self._turns, timeout=self._grace_seconds)
        for turn in self._turns.values():
            turn.give_up()
        if self._turns:
            _, late = await asyncio.wait(self._turns, timeout=_REPORT_SECONDS)
            for task in late:
                _log.warning("turn_left_behind", extra={"state_id": task.get_name()})
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


_REFUSED = frozenset({401, 403})


def _passes(error: KarmanError) -> bool:
    """Whether the server may be well later."""
    return error.retryable or error.status >= 500  # noqa: PLR2004  of HTTP: the fault is the server's
