"""What a user writes: the definition of a graph, as parsed from JSON, YAML or the SDK's builder.

The field names are Exosphere's where Exosphere has the thing, so its definitions parse unchanged. Parsing checks shapes
only; what the parts say about each other is checked by `validation`, and `graph` compiles a valid definition into what
the engine works with.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

JSON: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or str-keyed dict of JSON values."""

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"
"""Identifiers, graph names and namespaces."""

NODE_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$"
STORE_KEY_PATTERN = r"^[^.\s\x1c-\x1f\x85\uFEFF]{1,128}$"
r"""No dot and no whitespace, spelled so that it means the same in Python's and in JavaScript's regular expressions."""
TAG_PATTERN = r"^[^:\x00-\x1f\x7f]{1,256}$"
"""Names of tags; a colon parts them from values where runs are looked for."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, pattern=NAME_PATTERN)]
NodeName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=NODE_NAME_PATTERN)]
StoreKey = Annotated[str, StringConstraints(strip_whitespace=True, pattern=STORE_KEY_PATTERN)]
TagName = Annotated[str, StringConstraints(pattern=TAG_PATTERN)]

RESERVED_IDENTIFIER = "store"
"""No node instance may be called so: `${{ store.key }}` reads the run's store."""


class Model(BaseModel):
    """The base of all parts: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryStrategy(StrEnum):
    """How the delay before a retry grows, and how it is spread."""

    EXPONENTIAL = "EXPONENTIAL"
    EXPONENTIAL_FULL_JITTER = "EXPONENTIAL_FULL_JITTER"
    EXPONENTIAL_EQUAL_JITTER = "EXPONENTIAL_EQUAL_JITTER"
    LINEAR = "LINEAR"
    LINEAR_FULL_JITTER = "LINEAR_FULL_JITTER"
    LINEAR_EQUAL_JITTER = "LINEAR_EQUAL_JITTER"
    FIXED = "FIXED"
    FIXED_FULL_JITTER = "FIXED_FULL_JITTER"
    FIXED_EQUAL_JITTER = "FIXED_EQUAL_JITTER"


class RetryPolicy(Model):
    """When a failed attempt is tried again. Times in milliseconds.

    Attributes:
        max_retries: attempts after the first one, 0 to 1,000.
        non_retryable: class names of errors that are never tried again.
        max_elapsed: no retry begins later than this after the state's first attempt began; None for no limit.
    """

    max_retries: int = Field(default=3, ge=0, le=1000)
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    backoff_factor: int = Field(default=2000, gt=0)
    exponent: int = Field(default=2, gt=0)
    max_delay: int | None = Field(default=None, gt=0)
    non_retryable: tuple[str, ...] = ()
    max_elapsed: int | None = Field(default=None, gt=0)


class UniteStrategy(StrEnum):
    """When a unite runs, once all branches of the group have ended (ANY_SUCCESS: at the first success)."""

    ALL_SUCCESS = "ALL_SUCCESS"
    ALL_DONE = "ALL_DONE"
    ANY_SUCCESS = "ANY_SUCCESS"


class Unites(Model):
    """Makes a node instance the unite of the groups that `identifier` opens."""

    identifier: Name
    strategy: UniteStrategy = UniteStrategy.ALL_SUCCESS


class Loop(Model):
    """An edge back to an ancestor. It is taken only when the node chooses it (`Next`), at most `max_rounds` times."""

    to: Name
    max_rounds: int = Field(ge=1, le=100_000)


class NodeInstance(Model):
    """A node in a graph.

    Attributes:
        identifier: unique in the graph.
        node_name: the registered node to run.
        namespace: the namespace the node is registered in; None for the graph's own.
        inputs: by field; values are JSON and may hold placeholders.
        next_nodes: identifiers that follow; all of them for every output, unless the node chooses one.
        unites: makes it the join of a group.
        loops: bounded edges back to ancestors.
        retry_policy, timeout_seconds: override the graph's and the node's own.
    """

    identifier: Name
    node_name: NodeName
    namespace: Name | None = None
    inputs: dict[str, JSON] = {}
    next_nodes: tuple[Name, ...] = ()
    unites: Unites | None = None
    loops: tuple[Loop, ...] = ()
    retry_policy: RetryPolicy | None = None
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400 * 7)


class StoreConfig(Model):
    """The run's store: keys a trigger must give (or that have a default), and defaults. Values are JSON."""

    required_keys: tuple[StoreKey, ...] = ()
    default_values: dict[StoreKey, JSON] = {}


class Overlap(StrEnum):
    """What a firing does while the run of the previous firing goes on."""

    ALLOW = "allow"
    SKIP = "skip"


class CronValue(Model):
    """A cron trigger: five fields as croniter reads them, an IANA zone, and what its runs are given.

    `timeout_seconds` is of each of its runs; None for the graph's.
    """

    expression: str
    timezone: str = "UTC"
    enabled: bool = True
    overlap: Overlap = Overlap.ALLOW
    inputs: dict[str, JSON] = {}
    store: dict[StoreKey, JSON] = {}
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400 * 366)


class CronTrigger(Model):
    """A trigger by cron. `name` is unique in the graph; None takes `cron-{position}`."""

    type: Literal["CRON"] = "CRON"
    name: Name | None = None
    value: CronValue


class WhenFull(StrEnum):
    """What becomes of a run for which there is no slot: it waits for one, or its trigger is refused."""

    QUEUE = "queue"
    REFUSE = "refuse"


class Concurrency(Model):
    """How many runs of a graph go on at a time.

    Attributes:
        limit: of the runs that have the same key.
        key: one reference to an input of the run's first state, `${{ initial.inputs.field }}`; None: all runs of the
            graph have the same. A value that is not there, or null, is a key too.
    """

    limit: int = Field(ge=1, le=1_000_000)
    key: str | None = Field(default=None, max_length=1_024)
    when_full: WhenFull = WhenFull.QUEUE


class WhenOver(StrEnum):
    """What becomes of a run that is too much now: it begins later, or its trigger is refused."""

    QUEUE = "queue"
    REFUSE = "refuse"


class RateLimit(Model):
    """How many runs of a graph begin in a time.

    Attributes:
        starts: so many, of the runs that have the same key, in any `per_seconds`.
        key: as of `Concurrency`.
    """

    starts: int = Field(ge=1, le=100_000)
    per_seconds: float = Field(ge=0.1, le=86_400 * 31)
    key: str | None = Field(default=None, max_length=1_024)
    when_over: WhenOver = WhenOver.QUEUE


class GraphDefinition(Model):
    """A graph as its author wrote it.

    Attributes:
        name: unique in the namespace.
        secrets: names of the secrets that its nodes may read; values are stored apart.
        outputs: the run's result by name: JSON with placeholders, resolved when the run has succeeded. Empty: the
            result is the outputs of the last state of the run's first branch.
        tags: of its runs, by name, each one reference to what a run begins with or gives; see `tags`.
        concurrency: how many of its runs go on at a time; None for no limit.
        rate_limit: how many of its runs begin in a time; None for no limit.
        fail_fast: a failed branch cancels its siblings instead of waiting for them.
        timeout_seconds: every run's deadline counts from its trigger; None for the default (one year).
    """

    name: Name
    description: str = ""
    nodes: tuple[NodeInstance, ...]
    retry_policy: RetryPolicy = RetryPolicy()
    store_config: StoreConfig = StoreConfig()
    secrets: tuple[str, ...] = ()
    triggers: tuple[CronTrigger, ...] = ()
    outputs: dict[str, JSON] = {}
    tags: dict[TagName, str] = {}
    concurrency: Concurrency | None = None
    rate_limit: RateLimit | None = None
    fail_fast: bool = False
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400 * 366)


class RegisteredNode(Model):
    """A node as its runtime registered it.

    Attributes:
        name: unique in the namespace.
        runtime: whose workers run it; its messages go to the queue `{namespace}/{runtime}`.
        inputs_schema, outputs_schema: JSON Schemas of objects; outputs_schema is that of one output.
        secrets: names of the secrets it reads.
        timeout_seconds: of one attempt; None for the runtime's default.
    """

    name: NodeName
    runtime: Name
    inputs_schema: dict[str, JSON] = {"type": "object"}
    outputs_schema: dict[str, JSON] = {"type": "object"}
    secrets: tuple[str, ...] = ()
    timeout_seconds: float | None = None
