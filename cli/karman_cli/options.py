"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_WHERE = "Where and how"
_LONGEST_SECONDS = 366 * 86_400.0
"""Runs end within a year; nothing waits for longer."""


def _namespace(name: str | None) -> str | None:
    from karman_core.domain.definition import NAME_PATTERN

    if name is not None and re.fullmatch(NAME_PATTERN, name) is None:
        raise typer.BadParameter(
            f"{name!r} is no name of a namespace: it starts with a letter or '_', with letters, digits, '_' and '-' "
            "after it, at most 128"
        )
    return name


def _not_empty(key: str | None) -> str | None:
    if key is not None and not key.strip():
        raise typer.BadParameter("the key is empty; without the option each call begins a run of its own")
    return key


Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="FILE",
        dir_okay=False,
        rich_help_panel=_WHERE,
        help="Work on this database. Default: see below.",
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", rich_help_panel=_WHERE, help="Work on this server."),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        rich_help_panel=_WHERE,
        help="Work on a server that `karman login` saved under this name.",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=_WHERE, help="Print one JSON document, errors included."),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        rich_help_panel=_WHERE,
        callback=_namespace,
        help="Default: $KARMAN_NAMESPACE, else the profile's, else 'default'.",
    ),
]
Traceback = Annotated[
    bool,
    typer.Option(
        "--traceback",
        rich_help_panel=_WHERE,
        help="Show the traceback of an error (also: KARMAN_DEBUG=1).",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="KEY=VALUE",
        help="An input of the run. A value that is JSON is taken as JSON, unless the field is a string.",
    ),
]
InputFile = Annotated[
    Path | None,
    typer.Option("--input-file", metavar="FILE", help="Inputs as a JSON or YAML object; '-' reads stdin."),
]
Store = Annotated[
    list[str] | None,
    typer.Option("--store", metavar="KEY=VALUE", help="An initial value of the run's store."),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="NAME=VALUE",
        help="The value of a secret. It shows in the list of processes; --secret-env does not.",
    ),
]
SecretEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--secret-env", metavar="NAME", help="Take a secret's value from the variable of that name."
    ),
]
Concurrency = Annotated[
    int,
    typer.Option("--concurrency", "-c", metavar="N", min=1, max=10_000, help="Messages worked on at once."),
]
Nodes = Annotated[
    list[str] | None,
    typer.Option(
        "--nodes", metavar="MODULE", help="A file or module with the node classes of a YAML or JSON graph."
    ),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
OptionalRunId = Annotated[
    str | None, typer.Argument(metavar="RUN", help="The run's id; or --all with filters.")
]
All = Annotated[bool, typer.Option("--all", help="All runs that pass the filters, after asking.")]
GraphTarget = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_MODULE[:GRAPH]",
        help="A Python file, a module, or a YAML or JSON graph; GRAPH where there are several.",
    ),
]
OptionalTarget = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE_OR_MODULE[:GRAPH]",
        help="A Python file, a module, or a YAML or JSON graph; GRAPH where there are several.",
    ),
]
OptionalModules = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODULE", help="Python files, modules, or YAML or JSON graphs."),
]
RunDb = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="FILE",
        dir_okay=False,
        help="Keep the run in this database. Default: $KARMAN_DB, else a temporary one.",
    ),
]
DevDb = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="FILE",
        dir_okay=False,
        help="The database, made if missing. Default: $KARMAN_DB, else .karman/karman.db.",
    ),
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was interrupted.")
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, max=_LONGEST_SECONDS, help="The run's deadline."),
]
Delay = Annotated[
    float,
    typer.Option("--delay", metavar="SECONDS", min=0, max=_LONGEST_SECONDS, help="Start so much later."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and errors only.")]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime", metavar="NAME", help="The runtime's name. Default: $KARMAN_RUNTIME, else one a module."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        callback=_not_empty,
        help="The same key again finds the same run.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for the end, with live progress, and print the result.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A tag of the run. Can be given several times."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
GraphFilter = Annotated[str | None, typer.Option("--graph", metavar="NAME", help="Only runs of this graph.")]
StatusFilter = Annotated[
    str | None,
    typer.Option("--status", metavar="STATUS", help="Only runs in this status, such as failed or running."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since", metavar="TIME", help="Only runs begun since then: an age (30m, 12h, 1d) or an ISO time."
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Only runs begun before then: an age or an ISO time."),
]
TagFilter = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="KEY=VALUE", help="Only runs with this tag; given several times, with all."
    ),
]
GraphName = Annotated[str, typer.Argument(metavar="GRAPH", help="The graph's name.")]
TriggerName = Annotated[
    str, typer.Argument(metavar="TRIGGER", help="The trigger's name, as `karman triggers` lists it.")
]
