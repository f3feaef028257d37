"""`karman dev`."""

from __future__ import annotations

from karman_cli import options


def dev(  # noqa: PLR0913  the options of the command
    modules: options.Modules,
    *,
    db: options.DevDb = None,
    concurrency: options.Concurrency = 16,
    runtime: options.Runtime = None,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
    nodes: options.Nodes = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Run workers and cron on a database until stopped: what `karman trigger` starts, they work on."""
    from karman_cli.developing import Request, serve
    from karman_cli.values import secret_values

    request = Request(
        modules=tuple(modules),
        nodes_from=tuple(nodes or ()),
        db=db,
        concurrency=concurrency,
        runtime=runtime,
        namespace=namespace,
        secrets=secret_values(secret, secret_env),
        as_json=as_json,
    )
    serve(request)
