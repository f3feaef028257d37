"""Each part of the project imports only what the extra that installs it brings along."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {"karman", "karman_cli", "karman_core", "karman_functions", "karman_infra", "karman_runtime"}

# Where the code is, and the extras that a machine running it has beside the base. The deepest folder counts.
PARTS = {
    "core/karman_core": (),
    "core/karman_core/backends/aws": ("worker",),
    "sdk/karman": (),
    "runtime/karman_runtime": ("worker",),
    "cli/karman_cli": ("worker",),
    "functions/karman_functions": ("worker", "server"),
    "infra/karman_infra": ("deploy",),
}
# Distributions that another one promises to bring along and re-export.
COMES_WITH = {"boto3": {"botocore"}, "pydantic": {"pydantic-core", "typing-extensions"}}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(extras: tuple[str, ...]) -> set[str]:
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in extras for each in PROJECT["optional-dependencies"][extra]),
    ]
    names = {normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]) for requirement in wanted}
    return names.union(*(COMES_WITH.get(name, set()) for name in names))


@cache
def distributions_by_module() -> dict[str, set[str]]:
    return {module: {normal(name) for name in names} for module, names in packages_distributions().items()}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(node: ast.AST) -> Iterator[str]:
    """The top-level modules that a tree imports at run time, wherever the import stands."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.split(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module.split(".")[0]
        elif not is_type_checking(child):
            yield from imported(child)


def modules(folder: str) -> Iterator[Path]:
    """The modules of a part without those of the parts inside it."""
    inner = [ROOT / part for part in PARTS if part.startswith(f"{folder}/")]
    for path in (ROOT / folder).rglob("*.py"):
        if not any(path.is_relative_to(part) for part in inner):
            yield path


@pytest.mark.parametrize("folder", [folder for folder in PARTS if (ROOT / folder).is_dir()])
def test_a_part_imports_only_what_its_extras_install(folder: str) -> None:
    allowed = distributions(PARTS[folder])
    missing = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in modules(folder)
        for module in imported(ast.parse(path.read_text(encoding="utf-8")))
        if module not in sys.stdlib_module_names | OWN
        and not distributions_by_module().get(module, {module}) & allowed
    }

    assert not missing, f"not in the base or in {PARTS[folder]}: {sorted(missing)}"


def test_all_is_the_sum_of_the_extras() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"all"}

    assert set(re.findall(r"\w+", PROJECT["optional-dependencies"]["all"][0])) == {"karman", *extras}
