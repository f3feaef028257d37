"""What people do to runs from outside: cancel, pause, resume, retry, run again from a state, skip, redrive, purge.

One run, or many. Whatever changes a run is a message first, so that it is done whatever happens to this process, and is
then applied at once, so that it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from karman_core.domain.definition import JSON
from karman_core.domain.errors import Conflict, KarmanError, NotFound
from karman_core.domain.messages import Command, CommandKind
from karman_core.domain.transitions import FINAL_RUNS, RunStatus
from karman_core.engine.cursors import checked_limit, read_place, write_place
from karman_core.engine.lifecycle import RunPurged
from karman_core.engine.listing import RunFilter
from karman_core.engine.parts import Parts
from karman_core.engine.reusing import place_of
from karman_core.engine.run_items import Header
from karman_core.engine.skipping import Wanted
from karman_core.engine.views import (
    BulkView,
    PurgeView,
    RedriveView,
    Refusal,
    RunView,
    Started,
    StateView,
)

_AT_ONCE = 10
"""Runs of a bulk operation that are worked on together."""


class Action(StrEnum):
    """What a bulk operation does with each run."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    PURGE = "purge"


_GOING_ON = frozenset({"QUEUED", "RUNNING", "WAITING"})
_CHANGES: Mapping[Action, frozenset[str]] = {
    Action.CANCEL: _GOING_ON | {"PAUSED"},
    Action.PAUSE: _GOING_ON,
    Action.RESUME: frozenset({"PAUSED"}),
    Action.RETRY: frozenset({"FAILED"}),
    Action.PURGE: frozenset(status.value for status in FINAL_RUNS),
}
"""The statuses that an action changes: where a bulk operation names none, runs in others are passed over."""

_TAKEN: Mapping[Action, frozenset[str]] = {
    **dict.fromkeys((Action.PAUSE, Action.RESUME), _GOING_ON | {"PAUSED"}),
    Action.CANCEL: _GOING_ON | {"PAUSED", "CANCELLED"},
    Action.RETRY: frozenset({"FAILED"}),
    Action.PURGE: frozenset(status.value for status in FINAL_RUNS),
}
"""The statuses in which an action is not refused: done again, most are no error."""

Around: TypeAlias = Callable[[str], AbstractAsyncContextManager[object]]
"""What is done around the work on a run, by its id."""

_PURGE_SECONDS = 5.0
"""For which a purge is worked on at once; workers do the rest."""

_PURGE_MANY_SECONDS = 1.0
_REDRIVEN = 2_000
"""States that are looked at in one go."""

_LISTED = {Action.RESUME: "PAUSED", Action.RETRY: "FAILED"}


@dataclass(frozen=True, slots=True)
class Operations:
    """Operates runs."""

    parts: Parts

    async def cancel(self, namespace: str, run_id: str) -> RunView:
        """End a run as CANCELLED; states in flight may finish. Again is no error. Raises NotFound, Conflict."""
        await self._command(namespace, run_id, CommandKind.CANCEL, RunStatus.CANCELLED)
        return await self._view(namespace, run_id)

    async def pause(self, namespace: str, run_id: str) -> RunView:
        """Begin no further states. Raises NotFound, Conflict when the run has ended."""
        await self._command(namespace, run_id, CommandKind.PAUSE, RunStatus.PAUSED)
        return await self._view(namespace, run_id)

    async def resume(self, namespace: str, run_id: str) -> RunView:
        """Go on with a paused run. Raises NotFound, Conflict when the run has ended."""
        await self._command(namespace, run_id, CommandKind.RESUME, RunStatus.RUNNING)
        return await self._view(namespace, run_id)

    async def retry(self, namespace: str, run_id: str) -> RunView:
        """Run every failed state of a FAILED run again, and what follows from it, in a new epoch.

        Again, while the run goes on in that epoch, is no error.

        Raises:
            NotFound: no such run.
            Conflict: it has not FAILED, or a unite above a failed state has committed with the failure.
            QuotaExceeded: its graph or its namespace limits how many runs go on, and no slot is free.
        """
        header = await self.parts.lifecycle.header(namespace, run_id)
        if not _is_retried(header, None):
            await self._retry(header)
        return await self._view(namespace, run_id)

    async def retry_state(self, namespace: str, run_id: str, state_id: str) -> RunView:
        """Run one failed state of a FAILED run again, and what follows from it, in a new epoch.

        Other failures stay, so that a run that has any ends FAILED again. Again, as of `retry`, is no error.

        Raises:
            NotFound: no such run or state.
            Conflict: the run or the state has not failed, or a unite above the state has committed with the failure.
            QuotaExceeded: as of `retry`.
        """
        place = place_of(run_id, state_id)
        header = await self.parts.lifecycle.header(namespace, run_id)
        if not _is_retried(header, state_id):
            _check_failed(header)
            await self.parts.reopener.check_state(header, place)
            await self._reopen(header, CommandKind.RETRY_STATE, state_id)
        return await self._view(namespace, run_id)

    async def skip(
        self,
        namespace: str,
        run_id: str,
        state_id: str,
        outputs: Sequence[Mapping[str, JSON]] | None,
        *,
        chosen: str | None = None,
        by: str,
    ) -> StateView:
        """Give a state its outputs instead of its node; the run goes on as if the node had given them.

        For a state without an outcome of a run that goes on, and for a failed state of a FAILED run, which opens a new
        epoch for it. What a node that is running returns is not taken any more. The same again is no error.

        Args:
            outputs: as many as the node would have given; None as of a node that returned nothing.
            chosen: the next node (or loop target), as if the node had chosen it.
            by: who skips it, as the state's record will say.

        Raises:
            NotFound: no such run, or it has not come to such a state.
            Conflict: the state has an outcome, the run has ended other than FAILED, or waits for its slot.
            QuotaExceeded: as of `retry`.
            InvalidInput, PayloadTooLarge: the outputs do not fit the node's schema, or the next node is none of its.
        """
        place = place_of(run_id, state_id)
        header = await self.parts.lifecycle.header(namespace, run_id)
        wanted = Wanted(state_id, None if outputs is None else tuple(outputs), chosen, by)
        command = await self.parts.skipper.command(header, place, wanted)
        if command is not None:
            async with self._with_slot(header):
                await self.parts.sender.command(header.home, command)
                if not await self.parts.skipper.apply(command, follow=False):
                    raise Conflict(f"State '{state_id}' has got an outcome otherwise.")
        return await self.parts.reader.get_state(namespace, run_id, state_id)

    async def redrive(
        self, namespace: str, run_id: str, *, cursor: str | None = None, limit: int = _REDRIVEN
    ) -> RedriveView:
        """Send again all that a run waits for, from its table alone: for a run whose queue was lost.

        A message too much does no harm to the run, but a node that is running now may run once more beside itself.

        Args:
            cursor: goes on where the answer before ended.
            limit: states that are looked at.

        Raises:
            NotFound: no such run.
            Conflict: it has ended or is paused.
        """
        header = await self.parts.lifecycle.header(namespace, run_id)
        if header.status in FINAL_RUNS:
            raise Conflict(f"Run '{run_id}' has ended: {header.status.value}.")
        if header.status is RunStatus.PAUSED:
            raise Conflict(f"Run '{run_id}' is paused; resume it, then redrive it.")
        done = await self.parts.sweeper.redrive_some(header, read_place(cursor), limit)
        after = None if done.last is None else write_place(done.last)
        return RedriveView(run_id, done.looked_at, done.sent, after)

    async def purge(self, namespace: str, run_id: str, *, seconds: float = _PURGE_SECONDS) -> PurgeView:
        """Delete a run that has ended, with all that is kept of it. Again is no error.

        Its idempotency key stays used for as long as runs are kept.

        Args:
            seconds: how long to work on it at once; what is left is deleted by workers, or by the sweeper.

        Raises:
            NotFound: no such run.
            Conflict: it goes on, or another run reuses its states.
        """
        purger = self.parts.purger
        try:
            header = await self.parts.lifecycle.header(namespace, run_id)
        except RunPurged:
            return PurgeView(run_id, await purger.is_complete(namespace, run_id))
        command = await purger.command(header)
        await self.parts.sender.command(header.home, command)
        await purger.mark(command)
        complete = await purger.go_on(namespace, run_id, seconds=seconds)
        try:
            header = await self.parts.lifecycle.header(namespace, run_id)
        except NotFound:
            return PurgeView(run_id, complete)
        raise Conflict(
            f"Run '{run_id}' is {header.status.value} and goes on, or another run has begun to reuse it."
        )

    async def rerun(
        self,
        namespace: str,
        run_id: str,
        start: str,
        *,
        inputs: Mapping[str, JSON] | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """Begin a new run, of the same version of the graph, at a state of this one; what came before is reused.

        The new run's store begins with the values that this run's has now; from the first state, with those that the
        trigger gave.

        Args:
            start: the identifier of a state of the first branch (its last one, in a loop), or the state's id.
            inputs: for the state that it begins with: of a first state they replace the trigger's, of a later one they
                stand in place of what the graph gives those fields.
            idempotency_key: the same key and request again finds the same run.

        Raises:
            NotFound: no such run, node instance or state; the records before the state are gone, or the graph is.
            Conflict: the run has not come to the state, or only in a group; or the key began another run.
            InvalidInput, PayloadTooLarge: the inputs do not fit.
        """
        return await self.parts.reruns.rerun(namespace, run_id, start, inputs, idempotency_key)

    async def bulk(
        self,
        namespace: str,
        action: Action,
        wanted: RunFilter,
        *,
        limit: int = 100,
        cursor: str | None = None,
        dry_run: bool = False,
        around: Around = nullcontext,
    ) -> BulkView:
        """Do the same with each run of a page of a list; each by itself, so that one's refusal stops no other.

        Args:
            wanted: without a status, the runs that the action can change.
            limit: runs that are looked at, 1 to 1,000.
            around: entered before each run is worked on.
            dry_run: only say with which runs it would be done; what is refused for reasons inside the run is not seen.

        Raises:
            InvalidRequest: a limit or a cursor that cannot be.
        """
        status = wanted.status or _LISTED.get(action)
        asked = RunFilter(wanted.graph, status, wanted.since_ms, wanted.until_ms, wanted.tags)
        page = await self.parts.lister.page(namespace, asked, checked_limit(limit), cursor)
        changed = _CHANGES[action]
        matched = [run for run in page.runs if wanted.status is not None or run.status in changed]
        refusals: list[Refusal | None] = []
        for first in range(0, len(matched), _AT_ONCE):
            some = matched[first : first + _AT_ONCE]
            refusals += await asyncio.gather(
                *(self._try(run, action, around, dry_run=dry_run) for run in some)
            )
        return _outcome(matched, refusals, page.cursor, dry_run=dry_run)

    async def _try(self, run: RunView, action: Action, around: Around, *, dry_run: bool) -> Refusal | None:
        try:
            if not dry_run:
                async with around(run.run_id):
                    await self._do(run.namespace, run.run_id, action)
            elif run.status not in _TAKEN[action]:
                raise Conflict(f"Run '{run.run_id}' is {run.status}.")
        except KarmanError as error:
            return Refusal(run.run_id, error.code, error.message)
        return None

    async def _do(self, namespace: str, run_id: str, action: Action) -> None:
        match action:
            case Action.CANCEL:
                await self._command(namespace, run_id, CommandKind.CANCEL, RunStatus.CANCELLED)
            case Action.PAUSE:
                await self._command(namespace, run_id, CommandKind.PAUSE, RunStatus.PAUSED)
            case Action.RESUME:
                await self._command(namespace, run_id, CommandKind.RESUME, RunStatus.RUNNING)
            case Action.RETRY:
                await self._retry(await self.parts.lifecycle.header(namespace, run_id))
            case Action.PURGE:
                await self.purge(namespace, run_id, seconds=_PURGE_MANY_SECONDS)
            case _:
                assert_never(action)

    async def _command(self, namespace: str, run_id: str, kind: CommandKind, after: RunStatus) -> None:
        header = await self.parts.lifecycle.header(namespace, run_id)
        if header.status in FINAL_RUNS and header.status is not after:
            raise Conflict(f"Run '{run_id}' has ended: {header.status.value}.")
        await self._order(header, Command(kind, namespace, run_id, {"control": header.control}))

    async def _retry(self, header: Header) -> None:
        _check_failed(header)
        await self.parts.reopener.check(header)
        await self._reopen(header, CommandKind.RETRY, None)

    async def _reopen(self, header: Header, kind: CommandKind, state: str | None) -> None:
        run, epoch = header.run, header.run.epoch + 1
        arguments: dict[str, JSON] = {"epoch": epoch} if state is None else {"epoch": epoch, "state": state}
        async with self._with_slot(header):
            await self._order(header, Command(kind, run.namespace, run.run_id, arguments))
            after = await self.parts.lifecycle.header(run.namespace, run.run_id)
            if (after.run.epoch, after.only) != (epoch, state):
                raise Conflict(f"Run '{run.run_id}' is being retried otherwise already.")

    @asynccontextmanager
    async def _with_slot(self, header: Header) -> AsyncIterator[None]:
        """Change a run that has its slot, if it needs one; one that has ended takes it again.

        Raises:
            QuotaExceeded: none is free.
            Conflict: the run waits for its slot.
        """
        slots = self.parts.slots
        if header.status is RunStatus.FAILED:
            async with slots.again(header):
                yield
            return
        if not await slots.has(header):
            raise Conflict(f"Run '{header.run.run_id}' waits for its slot; it has not begun.")
        yield

    async def _order(self, header: Header, command: Command) -> None:
        await self.parts.sender.command(header.home, command)
        await self.parts.commands.apply(command, thorough=False)

    async def _view(self, namespace: str, run_id: str) -> RunView:
        return await self.parts.reader.get_run(namespace, run_id)


def _check_failed(header: Header) -> None:
    if header.status is not RunStatus.FAILED:
        told = f"Run '{header.run.run_id}' is {header.status.value}; only a FAILED run can be retried."
        raise Conflict(told)


def _is_retried(header: Header, only: str | None) -> bool:
    """Whether the run goes on because of such a retry: of all that had failed, or of one state."""
    return header.status not in FINAL_RUNS and header.run.epoch > 0 and header.only == only


def _outcome(
    matched: Sequence[RunView], refusals: Sequence[Refusal | None], cursor: str | None, *, dry_run: bool
) -> BulkView:
    done = [run.run_id for run, refusal in zip(matched, refusals, strict=True) if refusal is None]
    refused = tuple(refusal for refusal in refusals if refusal is not None)
    return BulkView(len(matched), tuple(done), refused, cursor, dry_run=dry_run)
