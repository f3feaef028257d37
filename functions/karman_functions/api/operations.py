"""Bodies of requests that operate runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from karman_core.domain.definition import JSON, TAG_PATTERN, Name
from karman_core.domain.transitions import RunStatus
from karman_core.engine.operations import Action
from karman_functions.api.limits import MAX_PAGE, MAX_TAG_FILTERS
from karman_functions.api.models import WHOLE, Request, Text


class RunToRerun(Request):
    """Where a new run begins, and with which inputs if not with those of the old one."""

    start: Annotated[
        Text,
        Field(alias="from", description="A node instance of the first branch, or a state of it by its id."),
    ]
    inputs: dict[str, JSON] | None = None


class StateToSkip(Request):
    """What a state is given: one output, several (a fanout), or null as of a node that returned nothing."""

    outputs: dict[str, JSON] | list[dict[str, JSON]] | None
    next: Name | None = None

    @property
    def given(self) -> list[dict[str, JSON]] | None:
        """The outputs as a list."""
        return [self.outputs] if isinstance(self.outputs, dict) else self.outputs


class RunsWanted(Request):
    """Which runs are meant; all that is said must hold. Without a status, those that the action can change."""

    graph: Name | None = None
    status: RunStatus | None = None
    since_ms: Annotated[int, Field(ge=0, le=2**53, strict=True), WHOLE] | None = None
    until_ms: Annotated[int, Field(ge=0, le=2**53, strict=True), WHOLE] | None = None
    tags: dict[Annotated[str, StringConstraints(pattern=TAG_PATTERN)], Text] = Field(
        default_factory=dict, max_length=MAX_TAG_FILTERS
    )


class RunsToOperate(Request):
    """What is done with each run of a page."""

    action: Action
    filter: RunsWanted = RunsWanted()
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, strict=True), WHOLE] = 100
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=4_096)] | None = None
    dry_run: StrictBool = False
