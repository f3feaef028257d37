"""`karman worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options

Modules = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODULE", help="Python files or modules with nodes. Default: $KARMAN_NODES."),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        "--queue",
        metavar="NAME",
        help="The runtime, whose task queue is worked on. Default: $KARMAN_RUNTIME, else one for a module.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency", "-c", metavar="N", min=1, max=10_000, help="Messages worked on at once. Default: 16."
    ),
]
StopSeconds = Annotated[
    float | None,
    typer.Option(
        "--stop-seconds",
        metavar="SECONDS",
        min=0,
        max=3_600,
        help="From SIGTERM to the end: the platform's stop time-out. Default: $KARMAN_STOP_SECONDS, else 30.",
    ),
]
HealthHost = Annotated[
    str | None,
    typer.Option(
        "--health-host", metavar="ADDRESS", help="Where GET /health is answered. Default: 127.0.0.1."
    ),
]
HealthPort = Annotated[
    int | None,
    typer.Option(
        "--health-port", metavar="N", min=0, max=65_535, help="0 for any that is free. Default: 8080."
    ),
]
NoHealth = Annotated[bool, typer.Option("--no-health", help="Answer no GET /health.")]
NoRegister = Annotated[bool, typer.Option("--no-register", help="The nodes are registered already.")]


def worker(  # noqa: PLR0913  the options of the command
    modules: Modules = None,
    *,
    runtime: Runtime = None,
    namespace: options.Namespace = None,
    concurrency: Concurrency = None,
    stop_seconds: StopSeconds = None,
    health_host: HealthHost = None,
    health_port: HealthPort = None,
    no_health: NoHealth = False,
    no_register: NoRegister = False,
    db: options.Db = None,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Run the nodes of modules, from a task queue, until SIGTERM or Ctrl-C.

    With KARMAN_BACKEND=aws on a deployment (docs/configuration.md); else on a database that others share.
    """
    from karman_cli.databases import existing_database
    from karman_cli.logs import log_to_stderr
    from karman_runtime.container import Request, run
    from karman_runtime.settings import load_settings

    given = {
        "runtime": runtime,
        "namespace": namespace,
        "concurrency": concurrency,
        "stop_seconds": stop_seconds,
        "health_host": health_host,
        "health_port": health_port,
    }
    settings = load_settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    if db is not None:
        settings = settings.model_copy(update={"backend": "embedded"})
    wanted = modules or settings.node_modules
    if not wanted:
        raise typer.BadParameter("name a module with nodes, or set KARMAN_NODES")
    if settings.log_format == "text":
        log_to_stderr(settings.log_level)
    database = existing_database(db, settings) if settings.backend == "embedded" else None
    run(Request(wanted, database, registers=not no_register, health=not no_health), settings)
