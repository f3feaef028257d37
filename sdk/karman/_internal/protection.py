"""Secrets must not leak: not by a repr, and not by an error that quotes them."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

MASK = "**********"

_SHORTEST = 4
"""Shorter secrets are not looked for in texts: they would be found in ordinary words."""


def protect(model: type[BaseModel]) -> type[BaseModel]:
    """A subclass of a Secrets model whose instances do not show their values."""

    def show(self: BaseModel) -> Iterable[tuple[str | None, Any]]:
        return [(name, MASK) for name in type(self).model_fields]

    attributes = {
        "__repr_args__": show,
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
    }
    return types.new_class(model.__name__, (model,), exec_body=lambda body: body.update(attributes))


def scrub(text: str, values: Iterable[str]) -> str:
    """The text without the values of secrets. Longer values first, for one may be part of another."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, MASK)
    return text
