"""The code of the how-to pages is run as it stands: files are written, and their tests called."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
INDEX = "README.md"
_BLOCK = re.compile(r"```python\n# (\w+)\.py\n(.*?)```", flags=re.DOTALL)


def names() -> list[str]:
    return sorted(page.name for page in PAGES.glob("*.md") if page.name != INDEX)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_the_index_names_every_page() -> None:
    linked = re.findall(r"\]\(([\w-]+\.md)\)", (PAGES / INDEX).read_text())
    assert sorted(linked) == names()


@pytest.mark.parametrize("page", names())
def test_the_code_of_a_page_runs(page: str, importable: Path) -> None:
    blocks = dict(_BLOCK.findall((PAGES / page).read_text()))
    assert blocks, "a page shows code"
    for name, code in blocks.items():
        (importable / f"{name}.py").write_text(code)
    for name in blocks:
        module = importlib.import_module(name)
        for test in dict(inspect.getmembers(module, inspect.isfunction)).values():
            if test.__module__ == name and test.__name__.startswith("test_"):
                test()
