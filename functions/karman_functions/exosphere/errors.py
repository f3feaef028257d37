"""Failures as Exosphere tells them: `{"detail": ...}`, a text or, for bodies and paths that do not fit, a list."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from karman_core.domain.errors import InvalidRequest, KarmanError, NewerLayout, RateLimited, Unauthorized

logger = logging.getLogger("karman.exosphere")

_INVALID_KEY = "Invalid API key"
_INSIDE = "internal server error"


class Failed(Exception):
    """The request gets this answer: a status, and a detail in Exosphere's words."""

    def __init__(self, status: int, detail: str | Sequence[Mapping[str, Any]]) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail


def unprocessable(kind: str, loc: Sequence[str | int], message: str, given: Any) -> Failed:  # noqa: ANN401  JSON
    """A 422 with one entry."""
    return Failed(422, [{"type": kind, "loc": list(loc), "msg": message, "input": given}])


def misfit(error: ValidationError, where: str) -> Failed:
    """A 422 with an entry for everything that does not fit; `where` is `body` or `path`."""
    details: list[dict[str, Any]] = []
    for found in error.errors(include_url=False):
        entry: dict[str, Any] = {
            "type": found["type"],
            "loc": [where, *found["loc"]],
            "msg": found["msg"],
            "input": found["input"],
        }
        if "ctx" in found:
            entry["ctx"] = {name: str(value) for name, value in found["ctx"].items()}
        details.append(entry)
    return Failed(422, details)


def translated(error: Exception, request_id: str) -> tuple[int, dict[str, Any]]:
    """Status and body for anything that was raised."""
    match error:
        case Failed():
            return error.status, {"detail": error.detail}
        case Unauthorized():
            return error.status, {"detail": _INVALID_KEY}
        case InvalidRequest():
            return error.status, {"detail": in_words(error)}
        case RateLimited() | NewerLayout():
            return error.status, {"detail": error.message}
        case KarmanError() if error.status < 500:  # noqa: PLR2004  what the client can do something about
            return error.status, {"detail": error.message}
    logger.error("request failed", extra={"request_id": request_id}, exc_info=error)
    status = error.status if isinstance(error, KarmanError) else 500
    return status, {"success": False, "detail": _INSIDE}


def in_words(error: InvalidRequest) -> str:
    """What is wrong, and every reason, in one line."""
    reasons = "; ".join(f"{problem.path}: {problem.message}".lstrip(": ") for problem in error.problems)
    return f"{error.message} {reasons}".strip()
