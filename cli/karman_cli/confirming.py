"""Asking before something is changed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


def confirmed(question: str, *, yes: bool, as_json: bool) -> bool:
    """Whether it may be done: by the option, or by the answer of whoever sits at the terminal.

    Raises:
        BadParameter: there is nobody to ask.
        Abort: the answer was Ctrl-C.
    """
    if yes:
        return True
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter("without a terminal there is nobody to ask: add --yes to do it")
    with _interruptible():
        return typer.confirm(question, err=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends what is typed: asyncio's own handler would only mark its task, which asks, as cancelled."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
