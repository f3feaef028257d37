"""`karman apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_cli.applying import Difference
    from karman_core.engine.views import GraphView
    from karman_runtime.composition import Assembly


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
    from karman_cli.applying import difference
    from karman_cli.graph_targets import load_graph
    from karman_cli.output import print_document
    from karman_cli.registering import check_secrets_used, put_valid
    from karman_cli.session import with_assembly
    from karman_cli.values import secret_values

    definition, _ = load_graph(target, None)
    secrets = secret_values(secret, secret_env)
    check_secrets_used(secrets, [definition])

    async def act(assembly: Assembly, name: str) -> tuple[Difference, GraphView | None]:
        found = await difference(assembly.engine, name, definition)
        if not as_json:
            _show(definition.name, found)
        return found, None if dry_run else await put_valid(assembly, name, definition, secrets)

    found, view = with_assembly(db, namespace, act)
    if as_json:
        version = found.stored if view is None else view.version
        changed = bool(found.lines) if view is None else view.changed
        print_document(
            {
                "graph": definition.name,
                "version": version,
                "changed": changed,
                "stored": view is not None,
                "difference": found.lines,
            }
        )
    elif found.lines:
        _say_stored(definition.name, view)


def _show(name: str, found: Difference) -> None:
    from karman_cli.output import note, print_text

    if found.lines:
        print_text("\n".join(found.lines))
    else:
        note(f"graph '{name}' is as stored, version {found.stored}")


def _say_stored(name: str, view: GraphView | None) -> None:
    from karman_cli.output import note

    note(
        "nothing was stored (--dry-run)" if view is None else f"graph '{name}' is version {view.version} now"
    )
