"""Entries of Lambda set the log of their process up; here it is put back, so that other tests find it as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logs_put_back() -> Iterator[None]:
    """Within the block, handlers, formatters and levels may change."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    formatters = [(handler, handler.formatter, list(handler.filters)) for handler in handlers]
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        for handler, formatter, filters in formatters:
            handler.setFormatter(formatter)
            handler.filters[:] = filters
