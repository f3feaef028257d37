"""`karman login` and `karman logout`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options

ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="The profile's name.")]


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server's, as `karman dev` prints it.")],
    *,
    profile: ProfileName = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", metavar="NAME", help="Default: the key's, else 'default'."),
    ] = None,
    api_key_stdin: Annotated[
        bool, typer.Option("--api-key-stdin", help="Read the API key from standard input; do not ask.")
    ] = False,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Save a server and an API key as a profile, and make it the current one: commands then work on that server.

    The key is asked for, tried, and kept in a file that nobody else may read.
    """
    import asyncio

    from karman_cli.logging_in import asked_key, log_in, warn_of_plain_text
    from karman_cli.output import note, print_document

    warn_of_plain_text(url)
    key = asked_key(from_stdin=api_key_stdin)
    done = asyncio.run(log_in(url, profile, namespace, key))
    if as_json:
        print_document(done)
        return
    note(f"logged in to {done.url}, namespace '{done.namespace}'; profile '{done.profile}' is current")
    if not done.may_read:
        note("warning: the key may not read, so `karman runs` and the like will be refused")


def logout(
    *,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="Default: the current one.")
    ] = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Forget a profile and its key. The key itself goes on: `karman keys delete` ends it."""
    from karman_cli.logging_in import log_out
    from karman_cli.output import note, print_document

    name, forgotten = log_out(profile)
    if as_json:
        print_document({"profile": name, "url": forgotten.url})
    else:
        note(f"forgot profile '{name}' ({forgotten.url})")
