"""Bodies of requests, as Exosphere's clients send them. Fields that nobody knows are passed over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from karman_core.domain.cron import validate_cron
from karman_core.domain.definition import RESERVED_IDENTIFIER, Name, NodeName, RetryStrategy, StoreKey
from karman_functions.api.limits import MAX_DELAY_MS

_MAX_NAME = 256
_MAX_ERROR = 100_000


class Lenient(BaseModel):
    """The base of all bodies."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _not_reserved(identifier: str) -> str:
    if identifier == RESERVED_IDENTIFIER:
        message = f"'{RESERVED_IDENTIFIER}' is reserved"
        raise ValueError(message)
    return identifier


def _unique(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if values is not None and len(set(values)) < len(values):
        message = "values are not unique"
        raise ValueError(message)
    return values


def _cron(expression: str) -> str:
    problems = validate_cron(expression, "UTC")
    if problems:
        raise ValueError(problems[0].message)
    return expression


def _texts(values: Any) -> Any:  # noqa: ANN401  what it is, the type of the field says afterwards
    return {key: str(value) for key, value in values.items()} if isinstance(values, dict) else values


class NodeToRegister(Lenient):
    """A node of a runtime."""

    name: NodeName
    inputs_schema: dict[str, Any]
    outputs_schema: dict[str, Any]
    secrets: tuple[str, ...]


class NodesToRegister(Lenient):
    """A runtime and its nodes."""

    runtime_name: Annotated[str, StringConstraints(min_length=1, max_length=_MAX_NAME)]
    nodes: tuple[NodeToRegister, ...]


class Unites(Lenient):
    """Which group a node joins, and when."""

    identifier: Name
    strategy: Literal["ALL_SUCCESS", "ALL_DONE"] = "ALL_SUCCESS"


class NodeTemplate(Lenient):
    """A node in a graph."""

    node_name: NodeName
    namespace: Name
    identifier: Annotated[Name, AfterValidator(_not_reserved)]
    inputs: dict[str, Any]
    next_nodes: Annotated[tuple[Name, ...] | None, AfterValidator(_unique)] = None
    unites: Unites | None = None


class RetryPolicy(Lenient):
    """Times in milliseconds."""

    max_retries: int = Field(default=3, ge=0, le=1000)
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    backoff_factor: int = Field(default=2000, gt=0)
    exponent: int = Field(default=2, gt=0)
    max_delay: int | None = Field(default=None, gt=0)


class StoreConfig(Lenient):
    """Keys of the run's store."""

    required_keys: Annotated[tuple[StoreKey, ...], AfterValidator(_unique)] = ()
    default_values: Annotated[dict[StoreKey, str], BeforeValidator(_texts)] = {}


class CronValue(Lenient):
    """When."""

    expression: Annotated[str, AfterValidator(_cron)]


class Trigger(Lenient):
    """A trigger by cron."""

    type: Literal["CRON"] = "CRON"
    value: CronValue


class GraphToUpsert(Lenient):
    """A graph, with the values of its secrets."""

    secrets: dict[str, str]
    nodes: tuple[NodeTemplate, ...]
    retry_policy: RetryPolicy | None = None
    store_config: StoreConfig | None = None
    triggers: tuple[Trigger, ...] | None = None


class RunToTrigger(Lenient):
    """What a run begins with."""

    store: dict[str, str] = {}
    inputs: dict[str, str] = {}
    start_delay: int = Field(default=0, ge=0, le=MAX_DELAY_MS)


class StatesToEnqueue(Lenient):
    """What a worker asks for."""

    nodes: tuple[str, ...]
    batch_size: int


class Executed(Lenient):
    """Outputs of a state; none is one empty output."""

    outputs: tuple[dict[str, Any], ...]


class ErroredState(Lenient):
    """What went wrong."""

    error: Annotated[str, StringConstraints(max_length=_MAX_ERROR)]


class PrunedState(Lenient):
    """What is kept of the branch."""

    data: dict[str, Any]


class StateToEnqueueAfter(Lenient):
    """How much later, in milliseconds."""

    enqueue_after: int = Field(gt=0, le=MAX_DELAY_MS)


class StateToRetry(Lenient):
    """Names this retry: the same name again is a duplicate."""

    fanout_id: Annotated[str, StringConstraints(min_length=1, max_length=_MAX_NAME)]
