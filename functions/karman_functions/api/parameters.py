"""Parameters in paths, queries and headers, with their limits, each said once."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query

from karman_core.domain.definition import NAME_PATTERN, NODE_NAME_PATTERN
from karman_functions.api.limits import MAX_PAGE, MAX_WAIT_SECONDS

_ID = r"^[a-z0-9]{1,64}$"

Namespace: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="The namespace.")]
GraphName: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="A graph's name.")]
NewGraphName: TypeAlias = Annotated[str, Path(description="A graph's name.")]
NodeName: TypeAlias = Annotated[str, Path(pattern=NODE_NAME_PATTERN, description="A node's name.")]
RunId: TypeAlias = Annotated[str, Path(pattern=_ID, description="A run's id.")]
StateId: TypeAlias = Annotated[
    str,
    Path(pattern=r"^[a-z0-9]{1,64}-[0-9._]{0,512}-[0-9]{1,9}$", description="A state's id."),
]
KeyId: TypeAlias = Annotated[str, Path(pattern=_ID, description="An API key's id.")]

TriggerName: TypeAlias = Annotated[str, Path(pattern=NAME_PATTERN, description="A trigger's name.")]

Limit: TypeAlias = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many on a page.")]
Cursor: TypeAlias = Annotated[
    str | None, Query(max_length=4_096, description="Where to go on: the `cursor` of the page before.")
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
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    Header(alias="if-none-match", max_length=256, description="The ETag of what is known already."),
]
