"""Secrets taken out of texts that are kept: what a node raised may quote them.

Looked for as they are, and as errors quote texts: escaped by `repr` or JSON, in URLs, in base64, and each long line of
those that have several (keys in PEM). A node that writes a secret in pieces, or otherwise encoded, is not understood.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "**********"

SHORTEST = 4
"""Characters. Shorter secrets are not looked for: they would be found in ordinary words."""

_SHORTEST_LINE = 16


def redacted(text: str, values: Iterable[str]) -> str:
    """The text without the values of secrets. Longer ones first, for one may be part of another."""
    forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        text = text.replace(form, MASK)
    return text


def _forms(value: str) -> Iterator[str]:
    data = value.encode(errors="replace")
    yield from (
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    )
    yield from (quote(data, safe=""), quote(data), quote_plus(data))
    yield from (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode())
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE)
