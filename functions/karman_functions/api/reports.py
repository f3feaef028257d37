"""Bodies in which workers report how executions ended."""

from __future__ import annotations

from pydantic import Field, StrictBool

from karman_core.domain.definition import JSON, Name
from karman_functions.api.effects import Effective
from karman_functions.api.models import DelayMs, Leased, LongText, SignalName, Text, TimeoutMs


class OutputsReport(Effective):
    """Outputs: one, several (a fanout), or none; and the next node, if the node chose one."""

    outputs: list[dict[str, JSON]]
    next: Name | None = None


class ErrorReport(Leased):
    """How an attempt failed; `bases` are classes that the error's derives from, for retry policies."""

    kind: Text
    message: LongText = ""
    traceback: LongText = ""
    retry: StrictBool = True
    bases: list[Text] = Field(default_factory=list, max_length=100)


class PruneReport(Effective):
    """The branch ends here; the data is kept."""

    data: dict[str, JSON] = Field(default_factory=dict)


class RequeueReport(Effective):
    """The same state again, later."""

    delay_ms: DelayMs


class WaitReport(Effective):
    """The state waits for a signal."""

    signal: SignalName
    timeout_ms: TimeoutMs | None = None
