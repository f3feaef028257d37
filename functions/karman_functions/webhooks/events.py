"""An event of a run, as a rule of the bus hands it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from karman_core.backends.aws.events import SOURCE
from karman_core.domain.events import EventKind, RunEvent
from karman_core.ports.events import Event

_OWN = frozenset({"id", "namespace", "at_ms"})
"""What the bus carries in the detail beside what the event itself says."""


def read_event(event: Mapping[str, Any]) -> Event | None:
    """The event; None if it is none of Karman's. Fields that a later version adds are passed on."""
    kind, detail = event.get("detail-type"), event.get("detail")
    if event.get("source") != SOURCE or kind not in set(EventKind) or not isinstance(detail, dict):
        return None
    try:
        told = RunEvent.model_validate(detail)
    except ValidationError:
        return None
    own = {name: value for name, value in detail.items() if name not in _OWN}
    return Event(told.id, str(kind), told.namespace, told.at_ms, own)
