"""The prose of a Python module: its docstrings and comments, a section for each class and function at the top."""

import ast
import io
import tokenize
from collections.abc import Iterator

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def python_sections(text: str) -> Iterator[tuple[str, str]]:
    """Name and prose of the module and of each definition at its top; where it does not parse, the text as it is."""
    try:
        module, comments = ast.parse(text), _comments(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):
        yield "", text
        return
    prose: dict[str, list[str | None]] = {"": [ast.get_docstring(module)]}
    owner_of_line: dict[int, str] = {}
    for node in module.body:
        if isinstance(node, _Definition):
            prose.setdefault(node.name, []).extend(_docstrings(node))
            owner_of_line.update(
                dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.name)
            )
    for line, comment in comments.items():
        prose[owner_of_line.get(line, "")].append(comment)
    for name, paragraphs in prose.items():
        yield name, "\n\n".join(filter(None, paragraphs))


def _docstrings(node: _Definition) -> Iterator[str | None]:
    for child in ast.walk(node):
        if isinstance(child, _Definition):
            yield ast.get_docstring(child)


def _comments(text: str) -> dict[int, str]:
    """Comments by line; those of consecutive lines are one, at their first line."""
    found: dict[int, str] = {}
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, said = token.start[0], token.string.lstrip("#!: ").strip()
            first = first if line == last + 1 else line
            found[first] = f"{found[first]} {said}" if first in found else said
            last = line
    return found
