"""Secrets must not leak by a repr. What errors quote is taken out in `failures`."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from karman_core.domain.redaction import MASK


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
