"""What the commands about definitions read and write."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from typer import BadParameter

from karman._internal.node import Node
from karman_cli.output import note, print_document, print_text
from karman_core.domain.definition import GraphDefinition
from karman_runtime.loading import load, split_target


def load_graph(target: str, nodes_from: list[str] | None) -> tuple[GraphDefinition, tuple[type[Node], ...]]:
    """The graph that a target names, and the node classes that came with it. Raises LoadError, InvalidGraph."""
    place, name = split_target(target)
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load(place, nodes_from or ())
    return loaded.graph(name), loaded.nodes


def write(text: str, output: Path | None, form: str, *, as_json: bool) -> None:
    """Write a text to a file or to stdout; with `as_json` stdout gets a document that holds it, or names the file."""
    if output is None:
        if as_json:
            print_document({"format": form, "text": text})
        else:
            print_text(text)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise BadParameter(f"--output: {output} cannot be written: {error}") from error
    if as_json:
        print_document({"format": form, "file": str(output)})
    else:
        note(f"wrote {output}")
