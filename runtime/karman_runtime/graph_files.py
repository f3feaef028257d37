"""Graphs as YAML or JSON files."""

from __future__ import annotations

from pathlib import Path

from karman._internal.texts import format_of
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph
from karman_core.domain.parsing import parse_text
from karman_runtime.errors import InvalidFile, UnknownFile

SUFFIXES = (".yaml", ".yml", ".json")


def is_graph_file(target: str) -> bool:
    """Whether a target is a graph written down, and not Python code."""
    return Path(target).suffix in SUFFIXES


def read_graph_file(path: Path) -> GraphDefinition:
    """The definition in a file.

    Raises:
        UnknownFile, InvalidFile: the file cannot be read.
        InvalidGraph: it is no YAML or JSON, or has not the shape of a definition; every problem is listed.
    """
    try:
        return parse_text(_text(path), format_of(path))
    except InvalidGraph as error:
        raise InvalidGraph(f"{path} holds no graph: {error.message}", error.problems) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnknownFile(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile(f"{path} cannot be read: {error}.") from error
