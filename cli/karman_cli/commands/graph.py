"""`karman graph`: commands about definitions, which need no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options

if TYPE_CHECKING:
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


def _size(definition: GraphDefinition) -> str:
    edges = sum(len(node.next_nodes) for node in definition.nodes)
    return f"{len(definition.nodes)} nodes, {edges} edges"
