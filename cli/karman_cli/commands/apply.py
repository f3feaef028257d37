"""`karman apply`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options


def apply(
    target: options.GraphTarget,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it and show the difference; store nothing.")
    ] = False,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Store a graph as its next version, after showing how it differs from the current one.

    Nodes it uses must be known: those of a worker that runs or ran on the database.
    """
    from karman_cli.applying import Request, apply_graph
    from karman_cli.graph_targets import load_graph
    from karman_cli.output import print_document
    from karman_cli.registering import check_secrets_used
    from karman_cli.session import with_assembly
    from karman_cli.values import secret_values

    definition, _ = load_graph(target, None)
    secrets = secret_values(secret, secret_env)
    check_secrets_used(secrets, [definition])
    request = Request(definition, secrets, dry_run=dry_run, quiet=as_json)
    applied = with_assembly(db, namespace, lambda assembly, name: apply_graph(assembly, name, request))
    if as_json:
        print_document(applied)
