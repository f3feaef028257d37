"""The limits that keep the tail short: most projects are undone by one huge module and one huge function."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("core", "sdk", "runtime", "cli", "functions", "infra", "examples", "tests", "bench")
MODULE_LINES = 400
FUNCTION_LINES = 40

# Spelled in pieces, so that this file does not hold what it looks for.
REGISTRIES = (
    ("pypi", "org"),
    ("files", "pythonhosted", "org"),
    ("registry", "npmjs", "org"),
    ("deb", "debian", "org"),
)
# The API has a route `/work/poll`.
MACHINE = re.compile(
    "|".join([*(r"\.".join(host) for host in REGISTRIES), r"/(work/(?!poll\b)|root/)[a-z.]"])
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def modules() -> Iterator[Path]:
    for path in project_files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE:
            yield path


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def function_lines(node: Function) -> int:
    """From the def line to the last, without the docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return lines
    docstring = node.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}

    assert lengths
    too_long = [f"{path.relative_to(ROOT)}: {n}" for path, n in lengths.items() if n > MODULE_LINES]
    assert not too_long, f"modules over {MODULE_LINES} lines: {too_long}"


def test_functions_are_short() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {function_lines(node)}"
        for path in modules()
        for node in functions(path)
        if function_lines(node) > FUNCTION_LINES
    ]

    assert not too_long, f"functions over {FUNCTION_LINES} lines: {too_long}"


def test_no_file_names_this_machine_or_a_package_registry() -> None:
    found = []
    for path in project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and the like
        found += [
            f"{path.relative_to(ROOT)}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := MACHINE.search(line))
        ]

    assert not found, f"addresses of registries or paths of a machine: {found}"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def f():\n    return 1\n", 2),
        ('def f():\n    """One."""\n    return 1\n', 2),
        ('async def f():\n    """One.\n\n    Two.\n    """\n    return 1\n', 2),
        ("@g\ndef f(\n    a,\n):\n    return a\n", 4),
    ],
)
def test_a_docstring_does_not_count(source: str, lines: int) -> None:
    node = ast.parse(source).body[0]

    assert isinstance(node, Function)
    assert function_lines(node) == lines
