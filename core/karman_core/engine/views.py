"""What the engine tells about runs, states and graphs: plain values for API, CLI and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import Problem


@dataclass(frozen=True, slots=True)
class GraphView:
    """A version of a graph. `valid` is False for one stored with problems; it cannot be triggered."""

    namespace: str
    name: str
    version: int
    valid: bool
    definition: GraphDefinition
    problems: tuple[Problem, ...]
    created_ms: int
    changed: bool = True
    """False when a put found the same definition already current."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Result of registering nodes: which graphs (current versions) became invalid by it, and why."""

    registered: tuple[str, ...]
    broken: Mapping[str, tuple[Problem, ...]]


@dataclass(frozen=True, slots=True)
class TotalsView:
    """What a run has done. Exact once it ended SUCCEEDED or FAILED; while it goes on, what has arrived at the top.

    `turns` counts executions that committed (every attempt, requeue and resumed wait), `busy_ms` their durations;
    `write_units` DynamoDB write units of the state records.
    """

    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    cancelled: int = 0
    turns: int = 0
    busy_ms: int = 0
    write_units: int = 0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run. `status` is derived: QUEUED before a delayed start and for a slot, WAITING when its first branch waits."""

    namespace: str
    run_id: str
    graph: str
    graph_version: int
    status: str
    epoch: int
    created_ms: int
    starts_ms: int
    ended_ms: int | None
    deadline_ms: int
    inputs: Mapping[str, JSON]
    totals: TotalsView
    tags: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    awaiting: tuple[str, ...] = ()
    """Names of the signals that are awaited."""
    result: JSON = None
    """The graph's declared outputs, or the outputs of the last state of the first branch; None until it succeeded."""
    error: str | None = None
    """For FAILED: the first failure found, as `identifier: kind: message`."""
    queued_for: str | None = None
    """What it waits for before it begins, if its graph limits how many runs go on, or begin."""
    rerun_of: str | None = None
    """The run whose first states this one reuses, if it was made from one of its states."""

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One failed or committed attempt of a state."""

    attempt: int
    started_ms: int
    ended_ms: int
    error_kind: str | None = None
    error_message: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class StateView:
    """One state. A state that was not recorded yet (its message waits in a queue) is QUEUED, without times."""

    run_id: str
    state_id: str
    identifier: str
    node_name: str
    branch: str
    """Path of the branch: `` for the first, else `number.index` pairs joined by `/`."""
    number: int
    """Position in the branch, from 0."""
    status: str
    attempts: tuple[AttemptView, ...] = ()
    turns: int = 0
    inputs: Mapping[str, JSON] | None = None
    outputs: tuple[Mapping[str, JSON], ...] | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    due_ms: int | None = None
    """When it is run again, for RETRYING and a requeued state."""
    awaiting: str | None = None
    """Name of the signal, for WAITING."""
    width: int | None = None
    """Number of branches of the group it opened, if it opened one."""
    error: str | None = None
    reused_from: str | None = None
    """The run that has executed it, if this one reuses it."""
    skipped_by: str | None = None
    """Who gave its outputs instead of its node, if it was skipped: `key:ID`, `iam:ARN`, `local:USER`."""


@dataclass(frozen=True, slots=True)
class StatesPage:
    """States of a run in the order of their branches, and where to go on."""

    states: tuple[StateView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RunsPage:
    """Runs, newest first, and where to go on."""

    runs: tuple[RunView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class GroupView:
    """How far a group is, in branches: `open` are those that have not ended.

    `ended` when none is open, or when the run was cut off and none will end any more.
    """

    state_id: str
    """Of the state that opened it."""
    identifier: str
    width: int
    succeeded: int
    failed: int
    pruned: int
    open: int
    ended: bool
    united_by: tuple[str, ...] = ()
    """Identifiers of the nodes that unite it."""


@dataclass(frozen=True, slots=True)
class GroupsPage:
    """Groups in the order of the states that opened them, and where to go on."""

    groups: tuple[GroupView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A run with which something could not be done, and why."""

    run_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BulkView:
    """What a bulk operation did with the runs of a page, and where to go on.

    With `dry_run` nothing was done, and `done` are those with which it would be.
    """

    matched: int
    done: tuple[str, ...]
    refused: tuple[Refusal, ...]
    cursor: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RedriveView:
    """How many states of a run were looked at, and how many messages sent again; where to go on."""

    run_id: str
    looked_at: int
    sent: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PurgeView:
    """A run that was purged. Not `complete`: nobody finds it any more, and workers are deleting the rest of it."""

    run_id: str
    complete: bool


@dataclass(frozen=True, slots=True)
class LeaseView:
    """When a lease ends, epoch milliseconds, and whether nobody wants its result any more.

    `cancelled`: the run was cancelled or timed out, or the state's group has failed already: stop, and release it.
    """

    until_ms: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The state's status after its lease was given back."""

    status: str


@dataclass(frozen=True, slots=True)
class Work:
    """A state that was leased to a worker over HTTP, to be reported before `until_ms`.

    `secrets` holds values: it is for the worker alone. `resumed` is set when the state had waited for a signal.
    `trace_parent` is the W3C traceparent that the run was triggered with.
    """

    state_id: str
    lease: str
    run_id: str
    graph: str
    identifier: str
    node_name: str
    inputs: Mapping[str, JSON]
    secrets: Mapping[str, str] = field(repr=False)
    attempt: int
    turn: int
    timeout_seconds: float | None
    until_ms: int
    resumed: Mapping[str, JSON] | None = None
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The state's status after a report; `repeated` when the same report was taken before."""

    status: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Started:
    """Result of a trigger. `created` is False when the idempotency key had started this run before."""

    run_id: str
    created: bool
