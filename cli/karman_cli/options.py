"""Options that several commands share, so that they read alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Db = Annotated[
    Path | None,
    typer.Option(
        "--db",
        metavar="FILE",
        dir_okay=False,
        help="The database file. Default: $KARMAN_DB, else .karman/karman.db.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, errors included.")]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAME", help="Default: $KARMAN_NAMESPACE, else 'default'."),
]
Traceback = Annotated[
    bool, typer.Option("--traceback", help="Show the traceback of an error (also: KARMAN_DEBUG=1).")
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
    float | None, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="The run's deadline.")
]
Delay = Annotated[float, typer.Option("--delay", metavar="SECONDS", min=0, help="Start so much later.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and errors only.")]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime", metavar="NAME", help="The runtime's name. Default: $KARMAN_RUNTIME, else one a module."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="The same key again finds the same run."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result.")]
