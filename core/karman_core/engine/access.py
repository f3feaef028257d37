"""API keys: who may do what in which namespace.

A key is `karman.NAMESPACE.ID.SECRET`. The namespace and the id only say where to look; the secret is what counts, and
of it the table holds a SHA-256 alone. A slow hash (bcrypt, Argon2) would add nothing: it protects secrets that people
think up, by making each guess expensive, while 130 random bits cannot be guessed at any price, and every request would
pay for it.

To rotate a key gives it a second secret; the first goes on for an overlap, so that clients change without a gap.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    Problem,
    Unauthorized,
)
from karman_core.domain.rotation import DEFAULT_OVERLAP_SECONDS
from karman_core.engine.layout_table import LayoutTable
from karman_core.engine.namespaces import Namespaces
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.table import (
    Absent,
    Action,
    AllOf,
    AnyOf,
    Equals,
    Item,
    Key,
    LessThan,
    Present,
    Query,
    Remove,
    Set,
    Table,
)

BELIEVED_MS = 15_000
"""How long a verified key is believed: a key that is revoked in one process works in others for so long."""

USED_MS = 3_600_000
"""At most so often is it written that a key was used."""

IAM_PREFIX = "iam."
"""Of the key id of an AWS identity; ids of keys have no dot."""

_PREFIX = "karman"
_MAX_CHARACTERS = 512
_ID_CHARACTERS = 16
_MAX_NAME = 256
_BELIEVED = 1_000
_KEY = re.compile(rf"{_PREFIX}\.({NAME_PATTERN.strip('^$')})\.([a-z0-9]{{1,64}})\.[^.]+")
"""Only what keys are made of: else the namespace in one could be spelled so that it leads to items of another kind."""

_UNKNOWN = "The API key is missing or not known; send it in the header `x-api-key`."


class Scope(StrEnum):
    """What a key is for. ADMIN may do everything in its namespace; a key may have several."""

    ADMIN = "admin"
    TRIGGER = "trigger"
    WORKER = "worker"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `namespace` is None for the configured admin key, which serves all of them."""

    key_id: str
    namespace: str | None
    scopes: frozenset[Scope]

    @property
    def name(self) -> str:
        """Who it is, as records say: `key:ID` (`key:admin` of the configured one) or `iam:ARN`."""
        arn = self.key_id.removeprefix(IAM_PREFIX)
        return f"key:{self.key_id}" if arn == self.key_id else f"iam:{arn}"

    def may(self, namespace: str, scope: Scope) -> bool:
        """Whether this is allowed."""
        here = self.namespace is None or self.namespace == namespace
        return here and not self.scopes.isdisjoint({scope, Scope.ADMIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A key, without its secret. Times are epoch milliseconds.

    `overlap_until_ms` is when the secret before the last rotation ends; `used_ms` is exact to the hour.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_ms: int
    rotated_ms: int | None = None
    overlap_until_ms: int | None = None
    used_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey(KeyView):
    """A key with its secret, which is shown this once."""

    key: str = field(repr=False)


V = TypeVar("V", bound=KeyView)


class AccessKeys:
    """Makes, verifies and revokes keys. Safe for concurrent use on one event loop."""

    def __init__(self, table: Table, clock: Clock, entropy: Entropy, *, admin_key: str | None = None) -> None:
        """Make it; `admin_key` is configured, serves all namespaces, and is kept as its hash."""
        self._table = LayoutTable(table)
        self._clock = clock
        self._entropy = entropy
        self._admin = _hash(admin_key) if admin_key else None
        self._namespaces = Namespaces(self._table, clock)
        self._believed: OrderedDict[str, tuple[int, Principal]] = OrderedDict()

    async def verify(self, presented: str | None) -> Principal:
        """Who it is that presents this key.

        Raises:
            Unauthorized: the key is missing, malformed, revoked, or its overlap has ended. Always the same message.
        """
        if not presented or not presented.isascii() or len(presented) > _MAX_CHARACTERS:
            raise Unauthorized(_UNKNOWN)
        digest, now = _hash(presented), self._clock.now_ms()
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            return Principal("admin", None, frozenset({Scope.ADMIN}))
        until, principal = self._believed.get(digest, (0, None))
        if principal is not None and now < until:
            return principal
        return await self._look_up(presented, digest, now)

    async def issue(self, namespace: str, name: str, scopes: Sequence[Scope]) -> IssuedKey:
        """Make a key; its secret is in the answer and nowhere else. Raises InvalidRequest for a name that is none."""
        if not 0 < len(name.strip()) <= len(name) <= _MAX_NAME:
            message = f"A key's name has 1 to {_MAX_NAME} characters: whose it is, or what it is for."
            raise InvalidRequest(message, [Problem("name", "invalid_value", message)])
        key_id = self._entropy.token()[:_ID_CHARACTERS]
        text = self._text(namespace, key_id)
        at = _at(namespace, key_id)
        kept = tuple(sorted(set(scopes)))
        item: Item = {
            "pk": at.pk,
            "sk": at.sk,
            "name": name,
            "scopes": list(kept),
            "hash": _hash(text),
            "created": self._clock.now_ms(),
        }
        await self._table.put(item, Absent())
        await self._namespaces.note(namespace)
        return _view(IssuedKey, item, key=text)

    async def rotate(
        self, namespace: str, key_id: str, *, overlap_seconds: int = DEFAULT_OVERLAP_SECONDS
    ) -> IssuedKey:
        """Give a key another secret; the one before goes on for the overlap, any older one ends now.

        Raises:
            NotFound: no such key.
            Conflict: somebody else is rotating it.
        """
        before = await self._table.get(_at(namespace, key_id))
        if before is None:
            raise NotFound(f"There is no key '{key_id}'.")
        text, now = self._text(namespace, key_id), self._clock.now_ms()
        actions: list[Action] = [Set("hash", _hash(text)), Set("rotated", now)]
        if overlap_seconds:
            actions += [Set("old_hash", before["hash"]), Set("old_until", now + overlap_seconds * 1000)]
        else:
            actions += [Remove("old_hash"), Remove("old_until")]
        try:
            item = await self._table.update(_at(namespace, key_id), actions, Equals("hash", before["hash"]))
        except ConditionFailed as lost:
            raise Conflict(f"Key '{key_id}' was rotated or revoked at the same time.") from lost
        self._forget(namespace, key_id)
        return _view(IssuedKey, item, key=text)

    async def revoke(self, namespace: str, key_id: str) -> None:
        """End a key. Raises NotFound."""
        try:
            await self._table.delete(_at(namespace, key_id), Present())
        except ConditionFailed as lost:
            raise NotFound(f"There is no key '{key_id}'.") from lost
        self._forget(namespace, key_id)

    async def list(self, namespace: str) -> list[KeyView]:
        """The keys of a namespace, oldest first."""
        found, cursor = [], None
        while True:
            page = await self._table.query(Query(_at(namespace, "").pk, cursor=cursor))
            found += [_view(KeyView, item) for item in page.items]
            cursor = page.cursor
            if cursor is None:
                return sorted(found, key=lambda view: (view.created_ms, view.id))

    async def _look_up(self, presented: str, digest: str, now: int) -> Principal:
        shape = _KEY.fullmatch(presented)
        if shape is None:
            raise Unauthorized(_UNKNOWN)
        namespace, key_id = shape.groups()
        item = await self._table.get(_at(namespace, key_id))
        until = _valid_until(item, digest, now)
        if item is None or until is None:
            raise Unauthorized(_UNKNOWN)
        principal = Principal(key_id, namespace, frozenset(map(Scope, item["scopes"])))
        self._believed[digest] = (min(now + BELIEVED_MS, until), principal)
        while len(self._believed) > _BELIEVED:
            self._believed.popitem(last=False)
        if item.get("used", 0) <= now - USED_MS:
            await self._note_use(namespace, key_id, now)
        return principal

    async def _note_use(self, namespace: str, key_id: str, now: int) -> None:
        due = AnyOf((Absent("used"), LessThan("used", now - USED_MS + 1)))
        # Nice to know and no more: a key revoked meanwhile is not brought back, and no request fails over this.
        with suppress(BackendError):
            await self._table.update(_at(namespace, key_id), [Set("used", now)], AllOf((Present(), due)))

    def _text(self, namespace: str, key_id: str) -> str:
        return f"{_PREFIX}.{namespace}.{key_id}.{self._entropy.token()}"

    def _forget(self, namespace: str, key_id: str) -> None:
        for digest, (_, principal) in list(self._believed.items()):
            if (principal.namespace, principal.key_id) == (namespace, key_id):
                del self._believed[digest]


def _valid_until(item: Item | None, digest: str, now: int) -> int | None:
    """Until when the secret is valid; None when it is not. Compares as often for a key that does not exist."""
    held, old = (item["hash"], item.get("old_hash", "")) if item is not None else ("", "")
    is_current, is_old = hmac.compare_digest(digest, held), hmac.compare_digest(digest, old)
    if is_current:
        return now + BELIEVED_MS
    if item is not None and is_old and now < item["old_until"]:
        return int(item["old_until"])
    return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _at(namespace: str, key_id: str) -> Key:
    return Key(f"{namespace}#keys", key_id)


def _view(kind: type[V], item: Item, **secret: str) -> V:
    return kind(
        id=item["sk"],
        name=item["name"],
        scopes=tuple(map(Scope, item["scopes"])),
        created_ms=item["created"],
        rotated_ms=item.get("rotated"),
        overlap_until_ms=item.get("old_until"),
        used_ms=item.get("used"),
        **secret,
    )
