"""Log lines on stderr: a constant message and its fields."""

from __future__ import annotations

import logging

from karman_cli.output import note
from karman_cli.printable import indented

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    """`12:00:00 warning karman_runtime.leases: lease lost queue=default/digest message_id=...`.

    A line of the log begins with its time, always: line breaks in fields are escaped, and what follows one in a message
    or a traceback is indented. Else a value that somebody sent could pass for a line of Karman's.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The message, the fields given as `extra`, and the traceback if there is one."""
        given = {key: value for key, value in vars(record).items() if key not in _USUAL}
        fields = [f"{key}={_one_line(str(value))}" for key, value in given.items()]
        when = self.formatTime(record, "%H:%M:%S")
        text = " ".join([f"{when} {record.levelname.lower()} {record.name}: {record.getMessage()}", *fields])
        return indented(f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text)


def _one_line(text: str) -> str:
    return "\\n".join(text.splitlines())


class StderrHandler(logging.Handler):
    """Writes to whatever stderr is at the moment: a live display puts itself in between for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            note(self.format(record))
        except Exception:  # noqa: BLE001  logging's own contract: a log line never fails what it is about
            self.handleError(record)


def log_to_stderr(level: str) -> None:
    """Send log lines of this level and above to stderr; those of Karman, of nodes, and of libraries."""
    handler = StderrHandler()
    handler.setFormatter(FieldsFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
