"""Which run and which state a log line is about, when a node wrote it."""

from __future__ import annotations

import logging

from karman._internal.context import current_context


class StateFields(logging.Filter):
    """Adds run, state, identifier and attempt to lines that are written while a node is executed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through."""
        context = current_context.get()
        if context is not None:
            for name in ("run_id", "state_id", "identifier", "attempt"):
                if not hasattr(record, name):
                    setattr(record, name, getattr(context, name))
        return True
