"""States a second of a namespace: each state that begins takes a token from the namespace's line (see domain.pacing).

The line is one item. To take tokens is one update that adds to the time at which the next one begins, on condition that
it does not lie in the past; else it is set to begin now. Neither loses to others who take tokens at the same moment, so
no number of workers makes it slow until the item takes no more writes, and those who see that take more at a time.
The table compares with less-than alone, so the time is kept twice, as it is and negated.

One process takes tokens for all that wait in it with one write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from karman_core.domain.errors import ConditionFailed, Throttled
from karman_core.domain.pacing import (
    HORIZON_US,
    Tokens,
    comes_again,
    cost_us,
    most,
    most_within,
    next_size,
)
from karman_core.engine import keys
from karman_core.engine.quotas import Quotas
from karman_core.engine.services import Services
from karman_core.ports.table import Absent, Action, Add, AllOf, AnyOf, Key, LessThan, Set

_NEXT, _NEGATED = "next", "negated"
_KEPT_SECONDS = 86_400
_TRIES = 10
_PAUSE_SECONDS = 0.2
_LINES, _RUNS = 1_000, 10_000
"""That are remembered."""


@dataclass(frozen=True, slots=True)
class Token:
    """A state's token.

    Attributes:
        at_ms: when it may begin; without a token, when to ask again.
        rate: under which the token was taken; None: the line was too long to take one.
    """

    at_ms: int
    rate: float | None


@dataclass(slots=True)
class _Line:
    """What this process knows of a namespace's line.

    Attributes:
        tokens: that it has taken and not given out.
        size: how many it takes at a time.
        ahead_us: the line is at least so long.
        again_us: when the last one that was sent away comes again.
        sent_away: runs that were, and when, the last ones last.
        waiting: states that want a token, with their runs.
    """

    tokens: Tokens | None = None
    size: int = 1
    ahead_us: int = 0
    again_us: int = 0
    sent_away: OrderedDict[str, int] = field(default_factory=OrderedDict)
    waiting: deque[tuple[str, asyncio.Future[Token]]] = field(default_factory=deque)
    taking: asyncio.Task[None] | None = None


class Pacer:
    """Gives states their tokens. Safe for concurrent use on one event loop."""

    def __init__(self, services: Services, quotas: Quotas) -> None:
        self._services = services
        self._quotas = quotas
        self._lines: dict[tuple[str, float], _Line] = {}

    async def token(self, namespace: str, run_id: str, held: float | None) -> Token | None:
        """The token of a state that wants to begin; None where there is no quota, or it holds a token already.

        Args:
            held: the rate under which it was given a token before; one of another rate does not count.

        Raises:
            BackendError: the table did not answer.
        """
        rate = self._quotas.peek(namespace).states_per_second
        if rate is None or rate == held:
            return None
        if len(self._lines) > _LINES:
            self._lines = {key: line for key, line in self._lines.items() if line.taking is not None}
        line = self._lines.setdefault((namespace, rate), _Line())
        if not line.waiting and line.tokens is not None and line.tokens.usable(self._now_us(), rate):
            return self._next(line, line.tokens)
        waiter: asyncio.Future[Token] = asyncio.get_running_loop().create_future()
        line.waiting.append((run_id, waiter))
        if line.taking is None:
            line.taking = asyncio.get_running_loop().create_task(self._take(namespace, line, rate))
        return await waiter

    async def _take(self, namespace: str, line: _Line, rate: float) -> None:
        """Take tokens until nobody waits for one."""
        try:
            while line.waiting:
                if line.tokens is None or not line.tokens.usable(self._now_us(), rate):
                    line.tokens = await self._more(namespace, line, rate)
                self._serve(line, rate)
        except BaseException as error:
            while line.waiting:
                _, waiter = line.waiting.popleft()
                if not waiter.done():
                    waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            line.taking = None

    async def _more(self, namespace: str, line: _Line, rate: float) -> Tokens | None:
        """Take more tokens: for all that wait, or else one for each run that was not sent away before."""
        line.size = next_size(line.size, rate, line.tokens)
        tokens = await self._reserve(namespace, line, rate, line.size, HORIZON_US)
        if tokens is not None:
            return tokens
        since, new = self._now_us() - HORIZON_US, set[str]()
        waiting, line.waiting = line.waiting, deque()
        for run_id, waiter in waiting:
            if run_id in new or line.sent_away.get(run_id, 0) > since:
                self._send_away(line, rate, run_id, waiter)
            else:
                new.add(run_id)
                line.waiting.append((run_id, waiter))
        return await self._reserve(namespace, line, rate, 0, 2 * HORIZON_US) if line.waiting else None

    def _serve(self, line: _Line, rate: float) -> None:
        """Give out the tokens that there are; without any, send all away."""
        if line.tokens is None:
            while line.waiting:
                self._send_away(line, rate, *line.waiting.popleft())
        while line.waiting and line.tokens is not None and line.tokens.count:
            _, waiter = line.waiting.popleft()
            if not waiter.done():  # Else its worker is being stopped.
                waiter.set_result(self._next(line, line.tokens))

    def _next(self, line: _Line, tokens: Tokens) -> Token:
        begins_us, line.tokens = tokens.next()
        return Token(begins_us // 1000, tokens.rate)

    def _send_away(self, line: _Line, rate: float, run_id: str, waiter: asyncio.Future[Token]) -> None:
        line.sent_away[run_id] = self._now_us()
        line.sent_away.move_to_end(run_id)
        if len(line.sent_away) > _RUNS:
            line.sent_away.popitem(last=False)
        line.again_us = comes_again(self._now_us(), line.again_us, rate, self._services.entropy.uniform())
        if not waiter.done():
            waiter.set_result(Token(line.again_us // 1000, None))

    async def _reserve(
        self, namespace: str, line: _Line, rate: float, least: int, horizon_us: int
    ) -> Tokens | None:
        """Take a token for each that waits, and at least so many; None when the line is longer than the horizon."""
        key, wanted = keys.line(namespace, rate), max(least, len(line.waiting))
        for _ in range(_TRIES):
            now = self._now_us()
            end = now + horizon_us
            if line.ahead_us >= end:
                return None
            count = min(wanted, most_within(end - max(now, line.ahead_us), rate))
            cost, last = cost_us(count, rate), end - cost_us(count - 1, rate)
            actions: list[Action] = [Add(_NEXT, cost), Add(_NEGATED, -cost), Set("ttl", self._ttl())]
            going_on = AllOf((LessThan(_NEGATED, 1 - now), LessThan(_NEXT, last)))
            try:
                item = await self._services.backend.table.update(key, actions, going_on)
            except ConditionFailed as lost:
                line.ahead_us = 0 if lost.old is None else int(lost.old[_NEXT])
            except Throttled:
                line.size = min(2 * line.size, most(rate))
                await self._services.clock.sleep(_PAUSE_SECONDS * self._services.entropy.uniform())
            else:
                line.ahead_us = int(item[_NEXT])
                return Tokens(line.ahead_us - cost, count, 0, rate)
            if line.ahead_us < now and await self._begin(key, now, cost):
                line.ahead_us = now + cost
                return Tokens(now, count, 0, rate)
        raise Throttled("Too many workers take tokens of one namespace at the same moment.")

    async def _begin(self, key: Key, now: int, cost: int) -> bool:
        """Set the line to begin now, if it lies in the past. Returns False when somebody else was quicker."""
        actions: list[Action] = [Set(_NEXT, now + cost), Set(_NEGATED, -now - cost), Set("ttl", self._ttl())]
        past = AnyOf((Absent(_NEXT), LessThan(_NEXT, now)))
        try:
            await self._services.backend.table.update(key, actions, past)
        except ConditionFailed:
            return False
        return True

    def _now_us(self) -> int:
        return self._services.clock.now_ms() * 1000

    def _ttl(self) -> int:
        return self._services.clock.now_ms() // 1000 + _KEPT_SECONDS
