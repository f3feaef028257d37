"""`karman pause`."""

from __future__ import annotations

from karman_cli import options


def pause(
    run: options.RunId,
    *,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Begin no further nodes of a run, until it is resumed."""
    from karman_cli.session import with_engine
    from karman_cli.tables import print_run

    print_run(with_engine(db, namespace, lambda engine, name: engine.pause(name, run)), as_json=as_json)
