"""Where output goes: results to stdout, everything else to stderr.

With `--json` stdout gets exactly one JSON document, whatever happens, so that a script can rely on parsing it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from karman_cli.printable import escaped_json, visible
from karman_core.domain.errors import InvalidRequest, KarmanError


def json_text(document: object) -> str:
    """A value as JSON for people and programs: views, models and plain values."""
    from pydantic_core import to_jsonable_python

    return escaped_json(json.dumps(to_jsonable_python(document, by_alias=True), indent=2, ensure_ascii=False))


def json_line(document: object) -> str:
    """The same in one line."""
    from pydantic_core import to_jsonable_python

    return escaped_json(json.dumps(to_jsonable_python(document, by_alias=True), ensure_ascii=False))


def print_document(document: object) -> None:
    """Print a value as JSON."""
    print_text(json_text(document))


def print_text(text: str) -> None:
    """Print a command's result for people."""
    shown = visible(text)
    sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something beside the result."""
    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()


def error_document(code: str, message: str, error: BaseException | None = None) -> dict[str, Any]:
    """An error as JSON."""
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    entries = [{"path": each.path, "code": each.code, "message": each.message} for each in problems]
    return {"error": {"code": code, "message": message, "problems": entries}}


def print_error(error: KarmanError, *, as_json: bool) -> None:
    """Print an error of Karman's tree: one line, and one for each problem."""
    if as_json:
        print_document(error_document(error.code, error.message, error))
    else:
        note(f"error: {error}")
