"""Keys of the one table. Every partition key begins with the namespace, so that IAM can confine a role to namespaces.

    {ns}#nodes                        {name}                    a registered node
    {ns}#graphs                       {graph}                   the current version of a graph, or its tombstone
    {ns}#graph#{graph}                v#{version}               a version of a graph
    {ns}#days[#{graph}]               {day}                     the days on which runs began: what lists look through
    {ns}#cron#{graph}                 {trigger}                 the last run that a cron trigger started
    {ns}#tag#{hash}                   {time}#{run}              a run that has a tag; the hash is of its name and value
    {ns}#namespace                    about                     the namespace itself
    {ns}#keys                         {id}                      an API key, hashed
    {ns}#quotas                       quotas                    what it may take; workers only read it
    {ns}#line                         {rate}                    the line of its states, by its quota
    {ns}#starts#{graph}#{hash}        starts                    when runs of a key began, or will
    {ns}#slots[#{graph}#{hash}]       count | held#.. | wait#..  slots for runs: of the namespace, of a concurrency key
    {ns}#run#{run}                    header | control          a run; whether it is cancelled or paused, or has waited
    {ns}#run#{run}#b#{branch}         s#{number}                the states of a branch, in order
    {ns}#run#{run}#j#{branch}#{number}#{epoch}#{level}#{item}   join    a join item, a partition by itself
    {ns}#run#{run}#store              {key}                     the run's store
    {ns}#run#{run}#sig#{shard}        s#.. | w#..               signals sent, and states that wait for one
    {ns}#run#{run}#reuse              {run}                     another run that reuses states of this one
    {ns}#audit                        {day}                     the days on which operators changed something
    {ns}#audit#{day}                  {time}#{id}               what they did
    {ns}#run#{run}#park               {branch}#{number}#{turn}#{token}  work put aside while the run is paused

State records of a wide fork spread over as many partitions as it has branches, and each join item has its own, so no
partition takes more writes than one branch or 200 arrivals make. Signals of one name share a partition, because pairing
them with waits needs one consistent query. The runs of a tag share one over all days: a day's would take no more writes
at a time, and pages would have to find their way from day to day.

Two kinds of index partitions go over all namespaces: unfinished runs, for the sweeper, and `namespaces`, for whoever
runs the server. The items themselves lie in their namespace, so a role that is confined to it can write them; to list
them takes the right to read an index whole, which nobody else needs.
"""

from __future__ import annotations

import hashlib
import json
import zlib

from karman_core.domain.branches import Branch, branch_text
from karman_core.ports.table import Key

HEADER = "header"
CONTROL = "control"
LAST_NUMBER = "s#~"
"""Sorts after every state of a branch."""

SIGNAL_SHARDS = 8
UNFINISHED_SHARDS = 16
DAY_MS = 86_400_000
NAMESPACES = "namespaces"
"""A partition of the index by time: of all namespaces."""

SLOT_HELD = "held#"
SLOT_WAIT = "wait#"

_LONGEST_PATH = 400
_TIME_DIGITS = 15
_HASH_CHARACTERS = 32


def node(namespace: str, name: str) -> Key:
    """A registered node."""
    return Key(f"{namespace}#nodes", name)


def graph_head(namespace: str, name: str) -> Key:
    """The current version of a graph."""
    return Key(f"{namespace}#graphs", name)


def graph_version(namespace: str, name: str, version: int) -> Key:
    """A version of a graph."""
    return Key(f"{namespace}#graph#{name}", f"v#{version:08d}")


def cron(namespace: str, graph: str, trigger: str) -> Key:
    """The last run that a cron trigger started."""
    return Key(f"{namespace}#cron#{graph}", trigger)


def run(namespace: str, run_id: str) -> Key:
    """A run's header."""
    return Key(_run(namespace, run_id), HEADER)


def control(namespace: str, run_id: str) -> Key:
    """A run's control flags."""
    return Key(_run(namespace, run_id), CONTROL)


def branch(namespace: str, run_id: str, path: Branch) -> str:
    """The partition of a branch's states."""
    return f"{_run(namespace, run_id)}#b#{_path(path)}"


def number(position: int) -> str:
    """The sort key of a state in its branch."""
    return f"s#{position:08d}"


def state(namespace: str, run_id: str, path: Branch, position: int) -> Key:
    """A state's record."""
    return Key(branch(namespace, run_id, path), number(position))


def join(namespace: str, run_id: str, path: Branch, position: int, epoch: int, level: int, item: int) -> Key:
    """A join item of the group that state `position` of branch `path` opened."""
    return Key(f"{_run(namespace, run_id)}#j#{_path(path)}#{position}#{epoch}#{level}#{item}", "join")


def store(namespace: str, run_id: str) -> str:
    """The partition of a run's store; the sort key is the store's key."""
    return f"{_run(namespace, run_id)}#store"


def signals(namespace: str, run_id: str, name: str) -> str:
    """The partition where a signal's name is paired with waits."""
    return signals_shard(namespace, run_id, zlib.crc32(name.encode()) % SIGNAL_SHARDS)


def signals_shard(namespace: str, run_id: str, shard: int) -> str:
    """One of the partitions of a run's signals and waits."""
    return f"{_run(namespace, run_id)}#sig#{shard}"


def signal(namespace: str, run_id: str, name: str, signal_id: str) -> Key:
    """A signal that was sent. Ids of one name sort by the time of sending."""
    return Key(signals(namespace, run_id, name), f"s#{name}#{signal_id}")


def wait(namespace: str, run_id: str, name: str, path: Branch, position: int, turn: int) -> Key:
    """A state that waits for a signal."""
    return Key(signals(namespace, run_id, name), f"w#{name}#{_path(path)}#{position:08d}#{turn}")


def reusers(namespace: str, run_id: str) -> str:
    """The partition of the runs that reuse states of this one; the sort key is their id."""
    return f"{_run(namespace, run_id)}#reuse"


def audit_days(namespace: str) -> str:
    """Where it is kept on which days something was recorded; the sort key is `day_text`."""
    return f"{namespace}#audit"


def audit(namespace: str, day: int) -> str:
    """The partition of what was recorded on a day (days since 1970); sort keys begin with the time."""
    return f"{namespace}#audit#{day_text(day)}"


def park(namespace: str, run_id: str) -> str:
    """The partition of work put aside."""
    return f"{_run(namespace, run_id)}#park"


def parked(path: Branch, position: int, turn: int, token: str) -> str:
    """The sort key of work put aside."""
    return f"{_path(path)}#{position}#{turn}#{token}"


def time_text(at_ms: int) -> str:
    """A time as keys have it: texts sort as times do."""
    return f"{at_ms:0{_TIME_DIGITS}d}"


def order(created_ms: int, run_id: str) -> str:
    """The place of a run among others."""
    return f"{time_text(created_ms)}#{run_id}"


def tagged(namespace: str, name: str, value: str) -> str:
    """The partition of the runs that have a tag; the sort key is `order`. Names and values may be longer than keys."""
    text = json.dumps([name, value])
    return f"{namespace}#tag#{hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]}"


def about(namespace: str) -> Key:
    """The namespace itself."""
    return Key(f"{namespace}#namespace", "about")


def quotas(namespace: str) -> Key:
    """The quotas of a namespace."""
    return Key(f"{namespace}#quotas", "quotas")


def line(namespace: str, rate: float) -> Key:
    """The line from which states take their tokens. One for each rate: one that is changed begins anew."""
    return Key(f"{namespace}#line", f"{rate:g}")


def starts(namespace: str, graph: str, scope: str) -> Key:
    """When runs of a graph began that are counted together, or will."""
    return Key(f"{namespace}#starts#{graph}#{scope}", "starts")


def slots(namespace: str) -> str:
    """The partition of the slots for runs of a namespace."""
    return f"{namespace}#slots"


def slots_of(namespace: str, graph: str, scope: str) -> str:
    """The partition of the slots for runs of a graph that have a concurrency key."""
    return f"{namespace}#slots#{graph}#{scope}"


def slot_count(partition: str) -> Key:
    """How many slots are held."""
    return Key(partition, "count")


def slot_held(partition: str, run_id: str) -> Key:
    """The slot that a run holds."""
    return Key(partition, f"{SLOT_HELD}{run_id}")


def slot_wait(partition: str, starts_ms: int, run_id: str) -> Key:
    """A run that waits for a slot, in the order of their beginnings."""
    return Key(partition, f"{SLOT_WAIT}{order(starts_ms, run_id)}")


def by_time(namespace: str, at_ms: int) -> str:
    """The day's partition of a namespace's runs."""
    return f"{namespace}#{at_ms // DAY_MS}"


def by_graph(namespace: str, graph: str, at_ms: int) -> str:
    """The day's partition of a graph's runs."""
    return f"{namespace}#{graph}#{at_ms // DAY_MS}"


def days(namespace: str, graph: str | None) -> str:
    """Where it is kept on which days runs began, of a namespace or of one of its graphs."""
    return f"{namespace}#days" if graph is None else f"{namespace}#days#{graph}"


def day_text(day: int) -> str:
    """The sort key of a day: days since 1970."""
    return f"{day:06d}"


def unfinished(run_id: str) -> str:
    """The partition of unfinished runs; over all namespaces, for the sweeper."""
    return f"unfinished#{zlib.crc32(run_id.encode()) % UNFINISHED_SHARDS}"


def _path(path: Branch) -> str:
    """A branch in keys: its text, or a hash of a long one (DynamoDB's keys hold 2,048 and 1,024 bytes)."""
    text = branch_text(path)
    return text if len(text) <= _LONGEST_PATH else f"~{hashlib.sha256(text.encode()).hexdigest()}"


def _run(namespace: str, run_id: str) -> str:
    return f"{namespace}#run#{run_id}"


def of_epoch(join_pk: str, epoch: int) -> str:
    """The partition of the same join item in another epoch."""
    head, _, level, item = join_pk.rsplit("#", 3)
    return f"{head}#{epoch}#{level}#{item}"
