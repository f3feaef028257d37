"""`karman doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karman_cli.exit_codes import ExitCode
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_core.backends.checks import Check


@operating
def doctor(session: Session) -> int:
    """Look whether a server, a deployment or a database is as it should be, and say what to do. Changes nothing.

    Exit codes: 0 when nothing is a problem (there may be warnings), 1 when something is.
    """
    from karman_cli.doctoring import examine, worst
    from karman_cli.output import print_document
    from karman_core.backends.checks import Level

    checks = session.run(examine)
    level = worst(checks)
    if session.as_json:
        print_document({"level": level.value, "checks": checks})
    else:
        _print(checks)
    return ExitCode.FAILED if level is Level.PROBLEM else ExitCode.OK


def _print(checks: list[Check]) -> None:
    from karman_cli.output import print_text

    width = max(len(check.name) for check in checks)
    for check in checks:
        print_text(f"{check.level.value:<8} {check.name:<{width}}  {check.text}")
        if check.advice:
            print_text(f"{'':<8} {'':<{width}}  -> {check.advice}")
