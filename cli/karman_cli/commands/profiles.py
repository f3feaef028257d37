"""`karman profiles`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options


def list_profiles(
    *,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """List the servers that `karman login` saved; `*` marks the one that commands take."""
    from karman_cli.logging_in import described
    from karman_cli.output import note, print_document
    from karman_cli.tables import print_table

    found = described()
    if as_json:
        print_document({"profiles": found})
    elif not found:
        note("no profiles; `karman login URL` makes one")
    else:
        rows = [
            ("*" if each["current"] else "", each["name"], each["url"], each["namespace"], each["access"])
            for each in found
        ]
        print_table(("", "PROFILE", "URL", "NAMESPACE", "ACCESS"), rows)


def use_profile(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `karman profiles` lists it.")],
    *,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Make a profile the current one."""
    from karman_cli.logging_in import use
    from karman_cli.output import note, print_document

    profile = use(name)
    if as_json:
        print_document({"profile": name, "url": profile.url})
    else:
        note(f"profile '{name}' ({profile.url}) is current")
