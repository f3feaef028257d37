"""`karman retry`."""

from __future__ import annotations

from karman_cli import options


def retry(
    run: options.RunId,
    *,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Run the failed states of a FAILED run again, and what follows from them."""
    from karman_cli.session import with_engine
    from karman_cli.tables import print_run

    print_run(with_engine(db, namespace, lambda engine, name: engine.retry(name, run)), as_json=as_json)
