"""The audit log: who changed what, and when.

What an operator does is recorded before it is done, so nothing is done unrecorded; how it went is added afterwards. An
entry without a result is of an operation that was cut off: it may have been carried out. Entries lie in a partition a
day, and expire after 400 days, longer than runs.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from karman_core.domain.definition import JSON
from karman_core.domain.errors import BackendError, InvalidRequest, KarmanError
from karman_core.engine import keys
from karman_core.engine.cursors import NO_CURSOR, checked_limit, read_cursor, write_cursor
from karman_core.engine.paging import every
from karman_core.engine.payloads import dumps, pack, unpack
from karman_core.engine.services import Services
from karman_core.ports.table import Action, Item, Key, Present, Query, Set

KEPT_DAYS = 400
DONE = "done"

_KEPT_SECONDS = KEPT_DAYS * 86_400
_LOOKED_AT = 5_000
_DETAIL_CHARACTERS = 1_000
_BEFORE = "audited"
_NUMBERS = 16**6
_ORDER = re.compile(r"[0-9]{15}#[a-z0-9]{1,64}")
_LAST = "~"
"""Sorts behind all that keys are made of."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that an operator did, or wanted to do.

    Attributes:
        at_ms: when it was asked for (epoch ms).
        by: `key:ID` of an API key (`key:admin` of the configured one), `iam:ARN` of an AWS identity, `local:USER` of
            whoever worked on the database itself.
        action: as `cancel`, `put_graph` or `issue_key`.
        run_id: of the run, if it is about one.
        target: else, or inside of the run, the name or id of what it is about.
        details: what more was asked for; never payloads or secrets.
        result: `done`, the code of the error that refused it, or None: it was cut off, and may have been carried out.
    """

    id: str
    at_ms: int
    by: str
    action: str
    run_id: str | None = None
    target: str | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)
    result: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first, and where to go on."""

    entries: tuple[AuditEntry, ...]
    cursor: str | None = None


@dataclass(slots=True)
class Recording:
    """An entry whose operation is going on; what becomes known of it is added to the details."""

    id: str
    details: dict[str, JSON]

    def note(self, **details: JSON) -> None:
        """Add details, before the operation ends."""
        self.details.update(details)


class AuditLog:
    """Writes and lists entries."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._noted: set[tuple[str, int]] = set()
        self._numbers = count()

    def _new_id(self, now_ms: int) -> str:
        """Sorts by time, and within a millisecond by the order in which this process recorded."""
        number, token = next(self._numbers) % _NUMBERS, self._services.entropy.token()[:12]
        return f"{keys.time_text(now_ms)}#{number:06x}{token}"

    @asynccontextmanager
    async def recorded(
        self,
        namespace: str,
        by: str,
        action: str,
        *,
        run_id: str | None = None,
        target: str | None = None,
        **details: JSON,
    ) -> AsyncIterator[Recording]:
        """Record an operation, then let it be done, then record how it went.

        Raises:
            BackendError: it could not be recorded, and is not done.
        """
        now = self._services.clock.now_ms()
        recording = Recording(self._new_id(now), dict(details))
        key = Key(keys.audit(namespace, now // keys.DAY_MS), recording.id)
        entry = AuditEntry(recording.id, now, by, action, run_id, target, recording.details)
        await self._note_day(namespace, now)
        await self._services.backend.table.put(self._item(key, entry))
        try:
            yield recording
        except KarmanError as error:
            await self._end(key, recording, error.code)
            raise
        await self._end(key, recording, DONE)

    async def page(
        self,
        namespace: str,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        run_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> AuditPage:
        """Entries, newest first: from `since_ms` on and before `until_ms`, of one run if it is named.

        A page may hold fewer than the limit, or none, and have a cursor all the same.

        Raises:
            InvalidRequest: a limit or a cursor that cannot be.
        """
        limit, found, looked_at = checked_limit(limit), list[AuditEntry](), 0
        async for item in self._items(namespace, since_ms, until_ms, cursor):
            looked_at += 1
            entry = _entry(item)
            if run_id in {None, entry.run_id}:
                found.append(entry)
            if len(found) == limit or looked_at == _LOOKED_AT:
                return AuditPage(tuple(found), write_cursor(_BEFORE, entry.id))
        return AuditPage(tuple(found))

    async def _items(
        self, namespace: str, since_ms: int | None, until_ms: int | None, cursor: str | None
    ) -> AsyncIterator[Item]:
        now, table = self._services.clock.now_ms(), self._services.backend.table
        # Another process, which wrote an entry, may have a clock that is ahead of this one.
        until = now + keys.DAY_MS if until_ms is None else until_ms
        first = keys.time_text(max(0, since_ms or 0))
        last = keys.time_text(max(0, until))
        if cursor is not None:
            last = min(last, _below(_read(cursor)))
        if last < first:
            return
        days = Query(
            keys.audit_days(namespace),
            first=keys.day_text(int(first) // keys.DAY_MS),
            last=keys.day_text(int(last[: len(first)]) // keys.DAY_MS),
            reverse=True,
        )
        async for day in every(table, days):
            query = Query(keys.audit(namespace, int(day["sk"])), first=first, last=last, reverse=True)
            async for item in every(table, query):
                yield item

    async def _note_day(self, namespace: str, now: int) -> None:
        day = now // keys.DAY_MS
        if (namespace, day) in self._noted:
            return
        ttl = now // 1000 + _KEPT_SECONDS + keys.DAY_MS // 1000
        item: Item = {"pk": keys.audit_days(namespace), "sk": keys.day_text(day), "ttl": ttl}
        await self._services.backend.table.put(item)
        if len(self._noted) >= _LOOKED_AT:
            self._noted.clear()
        self._noted.add((namespace, day))

    def _item(self, key: Key, entry: AuditEntry) -> Item:
        optional = {"run": entry.run_id, "target": entry.target}
        return {
            "pk": key.pk,
            "sk": key.sk,
            "at": entry.at_ms,
            "by": entry.by,
            "action": entry.action,
            "details": pack(_bounded(entry.details)),
            "ttl": entry.at_ms // 1000 + _KEPT_SECONDS,
            **{name: value for name, value in optional.items() if value is not None},
        }

    async def _end(self, key: Key, recording: Recording, result: str) -> None:
        actions: list[Action] = [Set("result", result), Set("details", pack(_bounded(recording.details)))]
        with suppress(BackendError):  # It is done, or refused, and whoever asked is told so.
            await self._services.backend.table.update(key, actions, Present())


def _entry(item: Item) -> AuditEntry:
    details = unpack(item["details"])
    return AuditEntry(
        id=item["sk"],
        at_ms=item["at"],
        by=item["by"],
        action=item["action"],
        run_id=item.get("run"),
        target=item.get("target"),
        details=details if isinstance(details, dict) else {},
        result=item.get("result"),
    )


def _bounded(details: Mapping[str, JSON]) -> dict[str, JSON]:
    """Details as they are kept: of a long value only the beginning, so that an entry stays small."""
    return {
        name: value if len(text) <= _DETAIL_CHARACTERS else text[:_DETAIL_CHARACTERS]
        for name, value in details.items()
        for text in [dumps(value)]
    }


def _below(order: str) -> str:
    """Sorts before an entry and behind all that are older."""
    return f"{order[:-1]}{chr(ord(order[-1]) - 1)}{_LAST}"


def _read(cursor: str) -> str:
    kind, order = read_cursor(cursor)
    if kind != _BEFORE or not isinstance(order, str) or not _ORDER.fullmatch(order):
        raise InvalidRequest(NO_CURSOR)
    return order
