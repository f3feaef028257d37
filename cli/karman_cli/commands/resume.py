"""`karman resume`."""

from __future__ import annotations

from karman_cli import options


def resume(
    run: options.RunId,
    *,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Go on with a paused run."""
    from karman_cli.session import with_engine
    from karman_cli.tables import print_run

    print_run(with_engine(db, namespace, lambda engine, name: engine.resume(name, run)), as_json=as_json)
