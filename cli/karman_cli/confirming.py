"""Asking before something is changed."""

from __future__ import annotations

import sys

import typer


def confirmed(question: str, *, yes: bool, as_json: bool) -> bool:
    """Whether it may be done: by the option, or by the answer of whoever sits at the terminal.

    Raises:
        BadParameter: there is nobody to ask.
    """
    if yes:
        return True
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter("without a terminal there is nobody to ask: add --yes to do it")
    return typer.confirm(question, err=True)
