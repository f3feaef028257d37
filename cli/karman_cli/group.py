"""The command group: one place where every error of every command becomes a message and an exit code."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from typer import Abort, TyperException
from typer.core import TyperGroup

from karman_cli.exit_codes import ExitCode, error_exit_code

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Commands(TyperGroup):
    """Runs a command and exits with its code.

    Whether to print JSON or a traceback is taken from the arguments as they are: errors of parsing come before any
    option has been read.
    """

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:  # noqa: ANN401  typer's own
        """Run, report, exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(args, *more, **extra)
        except Exception as error:  # noqa: BLE001  the outermost frame: what is not reported here is a traceback
            code = report(error, arguments)
        sys.exit(code if isinstance(code, int) else ExitCode.OK)


class Listing(TyperGroup):
    """A group whose first command, `list`, is meant when none is named: `karman keys --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  click's own
        """Put it in."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def report(error: Exception, arguments: Sequence[str]) -> ExitCode:
    """Say what went wrong, and find the exit code for it."""
    from karman_cli.output import note
    from karman_core.domain.errors import BackendError, InvalidRequest, KarmanError

    as_json = "--json" in arguments
    if isinstance(error, Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, TyperException):
        return _report_usage(error, as_json=as_json)
    if isinstance(error, UnicodeEncodeError) and (odd := _no_text(arguments)):
        error = InvalidRequest(f"The argument {odd} is no text in UTF-8, so it names nothing.")
    show_traceback = "--traceback" in arguments or _debugging()
    if show_traceback:
        note("".join(traceback.format_exception(error)).rstrip())
    if not isinstance(error, KarmanError):
        return _report_internal(error, as_json=as_json, traced=show_traceback)
    from karman_cli.output import print_error

    print_error(error, as_json=as_json)
    # What is left of the backend's errors (a condition that was lost) is none of the caller's.
    return error_exit_code(error.code, 500 if isinstance(error, BackendError) else error.status)


def _report_usage(error: TyperException, *, as_json: bool) -> ExitCode:
    from karman_cli.output import error_document, note, print_document

    message = error.format_message()
    if as_json:
        print_document(error_document("usage", message))
    elif message:
        context = getattr(error, "ctx", None)
        if context is not None:
            note(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n")
        note(f"error: {message}")
    return ExitCode.UNUSABLE


def _report_internal(error: Exception, *, as_json: bool, traced: bool) -> ExitCode:
    from karman_cli.output import error_document, note, print_document

    message = f"{type(error).__name__}: {error}"
    if as_json:
        print_document(error_document("internal_error", message))
    else:
        known = traced or (isinstance(error, OSError) and error.errno in _NO_SPACE)
        hint = "" if known else "\nThis is a fault of Karman's. Run it again with --traceback to see where."
        note(f"error: {message}{hint}")
    return ExitCode.INTERNAL


def _no_text(arguments: Sequence[str]) -> str | None:
    """The first argument that the shell gave as bytes which are no UTF-8, spelled so that it can be shown.

    Not all of them are refused: a file may have such a name.
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            return ascii(argument)
    return None


def _debugging() -> bool:
    from karman_core.domain.errors import InvalidRequest
    from karman_runtime.settings import load_settings

    try:
        return load_settings().debug
    except InvalidRequest:
        return False
