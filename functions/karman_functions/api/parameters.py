"""Parameters in paths, queries and headers, with their limits, each said once."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import StringConstraints

from karman_core.domain.definition import NAME_PATTERN, NODE_NAME_PATTERN, TAG_PATTERN
from karman_functions.api.limits import MAX_PAGE, MAX_TAG_FILTERS, MAX_WAIT_SECONDS

RUN_ID = r"^[a-z0-9]{1,64}$"
_TAG = TAG_PATTERN.removesuffix("$") + ":"
STATE_ID = r"^[a-z0-9]{1,64}-[0-9._]{0,512}-[0-9]{1,9}$"
DELIVERY_ID = r"^[0-9]{15}-[A-Za-z0-9_-]{1,128}$"

Namespace: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="The namespace.")]
GraphName: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="A graph's name.")]
NewGraphName: TypeAlias = Annotated[
    str, Path(json_schema_extra={"pattern": NAME_PATTERN}, description="A graph's name.")
]
NodeName: TypeAlias = Annotated[str, Path(pattern=NODE_NAME_PATTERN, description="A node's name.")]
RunId: TypeAlias = Annotated[str, Path(pattern=RUN_ID, description="A run's id.")]
StateId: TypeAlias = Annotated[
    str,
    Path(pattern=STATE_ID, description="A state's id."),
]
KeyId: TypeAlias = Annotated[str, Path(pattern=RUN_ID, description="An API key's id.")]
WebhookId: TypeAlias = Annotated[str, Path(pattern=RUN_ID, description="A webhook's id.")]
DeliveryId: TypeAlias = Annotated[str, Path(pattern=DELIVERY_ID, description="A delivery's id.")]

TriggerName: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="A trigger's name.")]

GraphFilter: TypeAlias = Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only of this graph.")]
SinceMs: TypeAlias = Annotated[
    int | None, Query(ge=0, le=2**53, description="Only begun since then (epoch milliseconds).")
]
UntilMs: TypeAlias = Annotated[
    int | None, Query(ge=0, le=2**53, description="Only begun before then (epoch milliseconds).")
]
Tags: TypeAlias = Annotated[
    list[Annotated[str, StringConstraints(pattern=_TAG, max_length=1_024)]] | None,
    Query(
        max_length=MAX_TAG_FILTERS,
        description="Only with this tag, `name:value`; where it is repeated, with all of them.",
    ),
]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many on a page.")]
Cursor: TypeAlias = Annotated[
    str | None,
    Query(max_length=4_096, description="Where to go on: the `cursor` of the page before."),
]
WaitSeconds: TypeAlias = Annotated[
    float,
    Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="Answer at most so much later."),
]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=256,
        description="The same key and request again finds the same run.",
    ),
]
TraceParent: TypeAlias = Annotated[
    str | None,
    Header(
        alias="traceparent",
        description="W3C trace context, which the run's nodes are told; one that is not valid is ignored.",
    ),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    Header(alias="if-none-match", max_length=256, description="The ETag of what is known already."),
]
