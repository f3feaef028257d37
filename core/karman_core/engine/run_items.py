"""Run headers as items, and what is kept of a run beside it.

A header is written three times at most in a run's life: made, ended, and now and then paused. Status, times and totals
are attributes; inputs and tags are one JSON text each. The two listing indexes and the sparse `unfinished` one hold
headers only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from karman_core.domain.concurrency import Slot, slot_from_json
from karman_core.domain.definition import JSON
from karman_core.domain.message_bodies import decode_reused, encode_reused
from karman_core.domain.messages import ForeignMessage, RunRef
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import OPEN_RUNS, RunStatus
from karman_core.engine import keys
from karman_core.engine.payloads import dumps, pack, unpack
from karman_core.ports.table import Action, Add, AllOf, Condition, Equals, Item, OneOf, Remove, Set

OPEN = tuple(sorted(status.value for status in OPEN_RUNS))


@dataclass(frozen=True, slots=True)
class Header:
    """A run, as its header says.

    Attributes:
        request: hash of what was asked for; another request under the same id is refused.
        home: the queue for what is asked of the run from outside: that of its first state.
        control: counts pauses, resumes and retries, so that a command which comes late is known for an old one.
        timed: whether a time-out was asked for: then a message is sent at the deadline.
        waiting: the first branch waits for a signal.
        overrides: inputs that were given for the state which a rerun begins with, if that is not the run's first.
        limit_ms: how long the run may take, from its start or its last retry.
        only: the state that the epoch was opened for; None for all that had failed.
        purging: it is being deleted.
        slot: what it needs to begin, where its graph limits how many runs go on; it is held until the run has ended.
        counted: it holds one of the slots of its namespace, which had a quota when the run was triggered.
        queued: it waits for its slot, or did so until it ended.
    """

    run: RunRef
    status: RunStatus
    created_ms: int
    starts_ms: int
    request: str
    home: str
    ended_ms: int | None = None
    inputs: Mapping[str, JSON] | None = None
    overrides: Mapping[str, JSON] | None = None
    store: Mapping[str, JSON] | None = None
    tags: Mapping[str, str] | None = None
    key: str | None = None
    trigger: str | None = None
    prolonged_ms: int = 0
    control: int = 0
    timed: bool = False
    waiting: bool = False
    limit_ms: int = 0
    only: str | None = None
    purging: bool = False
    slot: Slot | None = None
    counted: bool = False
    queued: bool = False
    placed: bool = False
    totals: Totals = Totals()  # noqa: RUF009  a NamedTuple is immutable


def request_hash(
    graph: str, inputs: JSON, store: JSON, start_delay_ms: int, timeout_ms: int | None, tags: JSON
) -> str:
    """What makes two triggers of one idempotency key the same request."""
    text = dumps(
        [graph, sorted_json(inputs), sorted_json(store), start_delay_ms, timeout_ms, sorted_json(tags)]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sorted_json(value: JSON) -> JSON:
    """The value with its objects as lists of pairs, by key: the same however it was written."""
    if isinstance(value, dict):
        return [[name, sorted_json(value[name])] for name in sorted(value)]
    return [sorted_json(one) for one in value] if isinstance(value, list) else value


def header_json(header: Header) -> dict[str, JSON]:
    """The header as it rides on the first message."""
    run = header.run
    slots = {} if header.slot is None else {"slot": header.slot.as_json()}
    counted = {"counted": 1} if header.counted else {}
    placed = {"placed": 1} if header.placed else {}
    overrides = {} if header.overrides is None else {"overrides": dict(header.overrides)}
    return {
        "run": [run.namespace, run.run_id, run.graph, run.version, run.epoch, run.deadline_ms],
        "created": header.created_ms,
        "starts": header.starts_ms,
        "request": header.request,
        "home": header.home,
        "inputs": header.inputs or {},
        "store": header.store or {},
        "tags": header.tags or {},
        "key": header.key,
        "trigger": header.trigger,
        "timed": header.timed,
        "trace": run.trace,
        "reused": None if run.reused is None else encode_reused(run.reused),
        **slots,
        **counted,
        **placed,
        **overrides,
    }


def header_from_json(data: Mapping[str, Any]) -> Header:
    """The reverse of `header_json`. Raises ForeignMessage."""
    try:
        return _header(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ForeignMessage(f"its header does not decode: {type(error).__name__}") from error


def _header(data: Mapping[str, Any]) -> Header:
    return Header(
        run=RunRef(*[*data["run"], data.get("trace"), decode_reused(data.get("reused"))]),
        status=RunStatus.RUNNING,
        created_ms=data["created"],
        starts_ms=data["starts"],
        request=data["request"],
        home=data["home"],
        inputs=data["inputs"],
        overrides=data.get("overrides"),
        store=data["store"],
        tags=data["tags"],
        key=data["key"],
        trigger=data["trigger"],
        timed=data["timed"],
        placed="placed" in data,
        slot=slot_from_json(data["slot"]) if "slot" in data else None,
        counted="counted" in data,
    )


def new_header(header: Header) -> dict[str, Any]:
    """The item of a run that begins."""
    run, at = header.run, header.created_ms
    key = keys.run(run.namespace, run.run_id)
    order = keys.order(at, run.run_id)
    item: dict[str, Any] = {
        "pk": key.pk,
        "sk": key.sk,
        "ns": run.namespace,
        "run": run.run_id,
        "graph": run.graph,
        "version": run.version,
        "epoch": run.epoch,
        "deadline": run.deadline_ms,
        "status": RunStatus.RUNNING.value,
        "created": at,
        "starts": header.starts_ms,
        "limit": run.deadline_ms - header.starts_ms,
        "control": 0,
        "timed": header.timed,
        "request": header.request,
        "home": header.home,
        "inputs": pack(header.inputs or {}),
        "by_time_pk": keys.by_time(run.namespace, at),
        "by_time_sk": order,
        "by_graph_pk": keys.by_graph(run.namespace, run.graph, at),
        "by_graph_sk": order,
        "unfinished_pk": keys.unfinished(run.run_id),
        "unfinished_sk": order,
    }
    item.update({name: value for name, value in _optional(header).items() if value is not None})
    return item


def _optional(header: Header) -> dict[str, Any]:
    """Attributes that not every run has; None for those that this one has not."""
    run = header.run
    return {
        "key": header.key,
        "trigger": header.trigger,
        "trace": run.trace,
        "reused": None if run.reused is None else dumps(encode_reused(run.reused)),
        "tags": dumps(header.tags) if header.tags else None,
        "placed": 1 if header.placed else None,
        "slot": None if header.slot is None else dumps(header.slot.as_json()),
        "counted": 1 if header.counted else None,
        "overrides": None if header.overrides is None else pack(header.overrides),
    }


def read_header(item: Item) -> Header:
    """The header that an item (or its copy in an index) holds."""
    return Header(
        run=RunRef(
            item["ns"],
            item["run"],
            item["graph"],
            item["version"],
            item["epoch"],
            item["deadline"],
            item.get("trace"),
            decode_reused(unpack(item["reused"])) if "reused" in item else None,
        ),
        status=RunStatus(item["status"]),
        created_ms=item["created"],
        starts_ms=item["starts"],
        request=item["request"],
        home=item["home"],
        ended_ms=item.get("ended"),
        inputs=unpack(item["inputs"]) if "inputs" in item else None,
        overrides=unpack(item["overrides"]) if "overrides" in item else None,
        tags=unpack(item["tags"]) if "tags" in item else None,
        key=item.get("key"),
        trigger=item.get("trigger"),
        prolonged_ms=item.get("prolonged", 0),
        control=item["control"],
        timed=item["timed"],
        waiting="waits" in item,
        limit_ms=item.get("limit", 0),
        only=item.get("only"),
        purging="purging" in item,
        placed="placed" in item,
        slot=slot_from_json(json.loads(item["slot"])) if "slot" in item else None,
        counted="counted" in item,
        queued="queued" in item,
        totals=Totals(*(item.get(f"n{place}", 0) for place in range(len(Totals._fields)))),
    )


def end_actions(status: RunStatus, at_ms: int, ttl: int, totals: Totals) -> list[Action]:
    """The update that ends a run: out of the unfinished index, into its retention."""
    actions: list[Action] = [
        Set("status", status.value),
        Set("ended", at_ms),
        Set("ttl", ttl),
        Remove("unfinished_pk"),
        Remove("unfinished_sk"),
        Remove("waits"),
    ]
    return actions + [Add(f"n{place}", count) for place, count in enumerate(totals) if count]


def open_in_epoch(epoch: int) -> Condition:
    """The run goes on, and in this epoch: a late message of an earlier pass cannot end a retried run."""
    return AllOf((OneOf("status", OPEN), Equals("epoch", epoch)))


PURGED = "PURGED"
"""In the place of a status, of what is left of a run that was purged."""


def is_purged(item: Item) -> bool:
    """Whether a header is one of a run that was purged, or is being purged: nobody finds it any more."""
    return "purging" in item or item["status"] == PURGED


def purge_actions(header: Header, at_ms: int) -> list[Action]:
    """The update that marks a run as being purged: out of the lists, and in the sweeper's sight until it is done."""
    run_id = header.run.run_id
    return [
        Set("purging", at_ms),
        Set("unfinished_pk", keys.unfinished(run_id)),
        Set("unfinished_sk", keys.order(header.created_ms, run_id)),
        Remove("by_time_pk"),
        Remove("by_graph_pk"),
    ]


def unpurge_actions(header: Header) -> list[Action]:
    """The reverse: another run was begun that reuses its states."""
    run, at = header.run, header.created_ms
    return [
        Set("by_time_pk", keys.by_time(run.namespace, at)),
        Set("by_graph_pk", keys.by_graph(run.namespace, run.graph, at)),
        Remove("purging"),
        Remove("unfinished_pk"),
        Remove("unfinished_sk"),
    ]


def tombstone(namespace: str, run_id: str, at_ms: int, ttl: int) -> dict[str, Any]:
    """What is left of a run that was purged."""
    key = keys.run(namespace, run_id)
    return {"pk": key.pk, "sk": key.sk, "status": PURGED, "purged": at_ms, "ttl": ttl}
