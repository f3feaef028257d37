"""One leased state, from its execution to its report."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from karman._internal.execution import NodeExecutor
from karman._internal.http.async_client import AsyncClient
from karman._internal.results import NodeOutcome
from karman.errors import Conflict, InvalidRequest, KarmanError, NotFound
from karman_core.domain.definition import JSON
from karman_core.domain.outcome import Errored, Resumption
from karman_core.engine.views import Work
from karman_core.ports.executor import Execution

SHORTEST_LEASE_SECONDS = 10
"""What the server takes."""

_NO_DEADLINE_MS = 366 * 86_400_000
BEATS_PER_LEASE = 3
_PAUSE_SECONDS = 1.0
_SERVER_ERROR = 500
_log = logging.getLogger("karman.runtime")


class Turn:
    """Runs a state, keeps its lease alive meanwhile, and reports how it ended: whole, or not at all."""

    def __init__(self, client: AsyncClient, executor: NodeExecutor, work: Work, lease_seconds: int) -> None:
        self._client = client
        self._executor = executor
        self._work = work
        self._lease_seconds = lease_seconds
        self._lost = False
        self._given_back = False
        self._executing: asyncio.Task[NodeOutcome] | None = None

    async def run(self) -> None:
        """Until the report is taken or not wanted. What is still executing when `give_up` is called is not reported."""
        heart = asyncio.create_task(self._beat())
        try:
            outcome = await self._execute()
            if outcome is not None:
                await self._report(outcome)
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)
        if self._given_back:
            await self._release()

    @property
    def begun(self) -> bool:
        """Whether the node runs, or has run: not while it waits for a thread."""
        return self._executing is not None and not self._executor.waits(self._work.state_id)

    def give_up(self) -> None:
        """Stop the execution, if it goes on or has not begun; a report under way is finished."""
        if self._executing is None:
            self._given_back = True
        elif not self._executing.done():
            self._given_back = True
            self._executing.cancel()

    async def _execute(self) -> NodeOutcome | None:
        if self._given_back:
            return None
        self._executing = asyncio.create_task(self._executor.execute(self._execution()))
        try:
            await asyncio.wait({self._executing})
        except asyncio.CancelledError:
            self._executing.cancel()
            await asyncio.wait({self._executing})
            raise
        return None if self._executing.cancelled() else self._executing.result()

    async def _beat(self) -> None:
        """Make the lease last. While the server does not answer, work goes on: it may be back in time.

        Work that nobody wants any more is given up: its run was cancelled, or its group has failed.
        """
        while True:
            await asyncio.sleep(self._lease_seconds / BEATS_PER_LEASE)
            try:
                told = await self._client.heartbeat(
                    self._work.state_id, self._work.lease, lease_seconds=self._lease_seconds
                )
            except (Conflict, NotFound):
                self._lost = True
                if self._executing is not None:
                    self._executing.cancel()
                _log.warning("lease_lost", extra=self._fields())
                return
            except KarmanError as error:
                _log.warning("heartbeat_failed", extra={**self._fields(), "code": error.code})
            else:
                if told.cancelled:
                    _log.info("work_cancelled", extra=self._fields())
                    self.give_up()
                    return

    async def _report(self, outcome: NodeOutcome) -> None:
        while not self._lost:
            try:
                await self._client.report(self._work.state_id, outcome, lease=self._work.lease)
            except (Conflict, NotFound):
                _log.warning("report_not_wanted", extra=self._fields())
                return
            except InvalidRequest as error:
                if isinstance(outcome, Errored):
                    raise
                # What the node gave cannot be taken, and would not be the next time: that is its failure.
                outcome = Errored(error.code, str(error), retry=False)
            except KarmanError as error:
                if not error.retryable and error.status < _SERVER_ERROR:
                    raise
                _log.warning("report_failed", extra={**self._fields(), "code": error.code})
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _release(self) -> None:
        """Let the next worker have it. If that fails, the lease ends by itself."""
        with suppress(KarmanError):
            await self._client.release(self._work.state_id, self._work.lease)

    def _execution(self) -> Execution:
        work, resumed = self._work, self._work.resumed
        return Execution(
            namespace=self._client.namespace,
            run_id=work.run_id,
            state_id=work.state_id,
            graph=work.graph,
            graph_version=0,  # not told over HTTP, and not shown to nodes
            identifier=work.identifier,
            node_name=work.node_name,
            inputs=work.inputs,
            secrets=work.secrets,
            attempt=work.attempt,
            turn=work.turn,
            resumed=None if resumed is None else Resumption(**resumed),
            timeout_seconds=work.timeout_seconds,
            deadline_ms=self._executor.now_ms() + _NO_DEADLINE_MS,
            read_store=self._read_store,
            is_cancelled=lambda: self._lost or self._given_back,
            trace_parent=work.trace_parent,
        )

    async def _read_store(self, key: str) -> JSON:
        return (await self._client.store(self._work.run_id)).get(key)

    def _fields(self) -> dict[str, object]:
        return {"state_id": self._work.state_id, "attempt": self._work.attempt}
