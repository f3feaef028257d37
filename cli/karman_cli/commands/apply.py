"""`karman apply`."""

from __future__ import annotations

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def apply(
    session: Session,
    target: options.GraphTarget,
    *,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
) -> int:
    """Store a graph as its next version, after showing how it differs from the current one, and asking.

    Nodes it uses must be known: those of a worker that runs or ran there. Without a terminal it takes --yes.
    """
    from karman_cli.applying import Request, apply_graph
    from karman_cli.exit_codes import ExitCode
    from karman_cli.graph_targets import load_graph
    from karman_cli.output import print_document
    from karman_cli.registering import check_secrets_used
    from karman_cli.values import secret_values

    definition, _ = load_graph(target, None)
    secrets = secret_values(secret, secret_env)
    check_secrets_used(secrets, [definition])
    request = Request(definition, secrets, dry_run, yes, session.as_json)
    applied = session.run(lambda connection: apply_graph(connection, request))
    if session.as_json:
        print_document(applied)
    refused = bool(applied.changed or secrets) and not applied.stored and not dry_run
    return ExitCode.UNUSABLE if refused else ExitCode.OK
