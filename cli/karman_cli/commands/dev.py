"""`karman dev`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options

Host = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Where to listen. Default: $KARMAN_HOST, else 127.0.0.1."),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=0,
        max=65_535,
        help="0 for any that is free. Default: $KARMAN_PORT, else 8700.",
    ),
]
NoServer = Annotated[bool, typer.Option("--no-server", help="Workers and cron alone, without the HTTP API.")]
NoReload = Annotated[bool, typer.Option("--no-reload", help="Keep the code as it is when its files change.")]


def dev(  # noqa: PLR0913  the options of the command
    modules: options.OptionalModules = None,
    *,
    port: Port = None,
    host: Host = None,
    db: options.DevDb = None,
    concurrency: options.Concurrency = 16,
    runtime: options.Runtime = None,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
    nodes: options.Nodes = None,
    namespace: options.Namespace = None,
    no_server: NoServer = False,
    no_reload: NoReload = False,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Serve the HTTP API, with workers that reload changed code, and cron, until stopped.

    KARMAN_API_KEY sets the API's admin key; else one is made and shown once. Without modules, others do the work.
    """
    from karman_cli.developing import Request, serve
    from karman_cli.values import secret_values

    if no_server and not modules:
        raise typer.BadParameter("--no-server leaves nothing to do without a module")
    request = Request(
        modules=tuple(modules or ()),
        nodes_from=tuple(nodes or ()),
        db=db,
        concurrency=concurrency,
        runtime=runtime,
        namespace=namespace,
        secrets=secret_values(secret, secret_env),
        as_json=as_json,
        host=host,
        port=port,
        server=not no_server,
        reload=not no_reload,
    )
    serve(request)
