"""Methods of the asynchronous client that operate runs, and tell of their parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import BaseModel

from karman._internal.http.calls import Call, T
from karman._internal.http.control_routes import ControlRoutes, Outputs
from karman._internal.http.exchange import Exchange
from karman._internal.http.overview_routes import RunsWanted
from karman._internal.http.results import Page
from karman._internal.http.routes import Routes
from karman_core.engine.auditing import AuditEntry
from karman_core.engine.views import BulkView, GroupView, PurgeView, RunView, Started, StateView


class AsyncControlMethods(ABC):
    """See `AsyncClient`."""

    _routes: Routes
    _exchange: Exchange

    async def retry_state(self, run_id: str, state_id: str) -> RunView:
        """Run one failed state of a FAILED run again, and what follows from it; other failures stay.

        Raises:
            NotFound: no such run or state.
            Conflict: the run or the state has not failed, or a unite above the state has committed.
        """
        return await self._send(ControlRoutes(self._routes).retry_state(run_id, state_id))

    async def skip(
        self,
        run_id: str,
        state_id: str,
        outputs: Sequence[Outputs] | Outputs | None,
        *,
        next_node: str | None = None,
    ) -> StateView:
        """Give a state its outputs instead of its node; the run goes on as if the node had given them.

        Args:
            outputs: one output or several (a fanout); None as of a node that returned nothing.
            next_node: the one that follows, where the node would have chosen one.

        Raises:
            NotFound: no such run or state.
            Conflict: the state has an outcome, or the run has ended other than FAILED.
            InvalidInput: the outputs do not fit the node's schema.
        """
        return await self._send(ControlRoutes(self._routes).skip(run_id, state_id, outputs, next_node))

    async def redrive(self, run_id: str) -> int:
        """Send again all that a run waits for, for one whose queue was lost; how many messages were sent.

        A node that is running may run once more. Raises NotFound; Conflict when the run has ended or is paused.
        """
        sent, cursor = 0, None
        while True:
            done = await self._send(ControlRoutes(self._routes).redrive(run_id, cursor))
            sent, cursor = sent + done.sent, done.cursor
            if cursor is None:
                return sent

    async def purge(self, run_id: str) -> PurgeView:
        """Delete a run that has ended, with all that is kept of it; again is no error.

        Raises:
            NotFound: no such run.
            Conflict: it goes on, or another run reuses its states.
        """
        return await self._send(ControlRoutes(self._routes).purge(run_id))

    def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[AuditEntry]:
        """Who changed what, newest first. For keys with scope admin.

        Args:
            since, until: times with a zone: from then on, and before then.
            run_id: only about this run.
        """
        return self._all(ControlRoutes(self._routes).audit(since, until, run_id, page_size))

    async def rerun(
        self,
        run_id: str,
        start: str,
        *,
        inputs: Mapping[str, object] | BaseModel | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """Begin a new run, of the same version, at a state of this run; what came before is reused.

        Args:
            start: the identifier of a state of the first branch (its last one, in a loop), or the state's id.
            inputs: for the state that it begins with: of a first state they replace the trigger's, of a later one they
                stand in place of what the graph gives those fields.
            idempotency_key: the same key and request again finds the same run; by default one of this call.

        Raises:
            NotFound: no such run, node instance or state.
            Conflict: the run has not come to the state, or only in a group.
            InvalidInput: the inputs do not fit.
        """
        key = self._exchange.entropy.token() if idempotency_key is None else idempotency_key
        started = await self._send(ControlRoutes(self._routes).rerun(run_id, start, inputs, key))
        return replace(started, created=True) if idempotency_key is None else started

    async def bulk(  # noqa: PLR0913 - options, named at the call
        self,
        action: str,
        *,
        graph: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        dry_run: bool = False,
    ) -> BulkView:
        """Do the same with each run of a page of a list; go on with `cursor` until there is none.

        Args:
            action: `cancel`, `pause`, `resume`, `retry` or `purge` (which takes scope admin).
            status: by default those that the action can change; it and the next four as of `runs`.
            limit: runs that are looked at; by default 100.
            dry_run: do nothing; `done` are the runs with which it would be done.
        """
        wanted = RunsWanted(graph, status, since, until, tags or {})
        return await self._send(
            ControlRoutes(self._routes).bulk(action, wanted, limit, cursor, dry_run=dry_run)
        )

    async def state(self, run_id: str, state_id: str) -> StateView:
        """One state of a run, with its attempts. Raises NotFound."""
        return await self._send(ControlRoutes(self._routes).state(run_id, state_id))

    def groups(
        self, run_id: str, *, parent: str | None = None, page_size: int | None = None
    ) -> AsyncIterator[GroupView]:
        """How far the groups of a run are that states of its first branch opened.

        Args:
            parent: instead, those that were opened in the branches of the group which this state opened.
        """
        return self._all(ControlRoutes(self._routes).groups(run_id, parent, page_size))

    async def group(self, run_id: str, state_id: str) -> GroupView:
        """How far the group is that a state opened. Raises NotFound."""
        return await self._send(ControlRoutes(self._routes).group(run_id, state_id))

    @abstractmethod
    def _all(self, call: Call[Page[T]]) -> AsyncIterator[T]: ...

    @abstractmethod
    async def _send(self, call: Call[T]) -> T: ...
