"""`karman graph`: commands about definitions, all but one of which need no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.domain.definition import GraphDefinition

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Default: stdout.")
]


def validate(
    target: options.GraphTarget,
    *,
    nodes: options.Nodes = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Check a graph against its nodes, and list everything that is wrong with it.

    Nodes of a YAML or JSON graph are taken from --nodes. Without any, only what the graph says by itself is checked.
    """
    from karman_cli.graph_targets import load_graph
    from karman_cli.output import note, print_document, print_text
    from karman_runtime.checking import check

    definition, classes = load_graph(target, nodes)
    complete = check(definition, classes)
    if as_json:
        print_document({"graph": definition.name, "valid": True, "nodes_checked": complete})
        return
    print_text(f"graph '{definition.name}' is valid: {_size(definition)}")
    if not complete:
        note("its nodes were not looked at; name their modules with --nodes to check inputs and outputs too")


def draw(
    target: options.GraphTarget,
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="svg or mermaid.")] = "svg",
    output: Output = None,
    nodes: options.Nodes = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Draw a graph: nodes, edges, unites (dotted) and loops (dashed)."""
    from karman_cli.drawing.diagram import diagram
    from karman_cli.drawing.layout import layout
    from karman_cli.drawing.mermaid import mermaid
    from karman_cli.drawing.svg import svg
    from karman_cli.graph_targets import load_graph, write

    drawings = {"svg": lambda shown: svg(layout(shown)), "mermaid": mermaid}
    if form not in drawings:
        raise typer.BadParameter(f"--format is svg or mermaid, not {form!r}")
    definition, _ = load_graph(target, nodes)
    write(drawings[form](diagram(definition)), output, form, as_json=as_json)


def show(
    target: options.GraphTarget,
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="yaml or json.")] = "yaml",
    output: Output = None,
    nodes: options.Nodes = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Print a graph's definition, as `karman` commands read it from a file."""
    from karman._internal.texts import to_yaml
    from karman_cli.graph_targets import load_graph, write
    from karman_cli.output import json_text

    forms = {"yaml": to_yaml, "json": json_text}
    if form not in forms:
        raise typer.BadParameter(f"--format is yaml or json, not {form!r}")
    definition, _ = load_graph(target, nodes)
    content = definition.model_dump(mode="json", exclude_defaults=True)
    if as_json:
        form = "json"
    write(forms[form](content), output, form, as_json=as_json and output is not None)


@operating
def delete(session: Session, name: options.GraphName, *, yes: options.Yes = False) -> int:
    """Delete a stored graph with its schedules and secrets, after asking. Runs that go on keep their version."""
    from karman_cli.confirming import confirmed
    from karman_cli.exit_codes import ExitCode
    from karman_cli.output import note, print_document

    async def act(connection: Connection) -> bool:
        await connection.graph(name)
        question = f"Delete graph '{name}', its schedules and its secrets on {connection.place}?"
        if not confirmed(question, yes=yes, as_json=session.as_json):
            return False
        await connection.delete_graph(name)
        return True

    if not session.run(act):
        note("nothing was deleted")
        return ExitCode.UNUSABLE
    if session.as_json:
        print_document({"graph": name, "deleted": True})
    else:
        note(f"graph '{name}' is deleted")
    return ExitCode.OK


def _size(definition: GraphDefinition) -> str:
    edges = sum(len(node.next_nodes) for node in definition.nodes)
    return f"{len(definition.nodes)} nodes, {edges} edges"
