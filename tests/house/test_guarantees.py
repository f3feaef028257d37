"""Each promise in docs/guarantees.md names the tests that defend it, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
NO_PROMISES = {"Real faults", "How the promises are tried"}
_PATH = re.compile(r"`(tests/[\w./*-]+)`")
_FILE = re.compile(r"`(test_\w+\.py)`")


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_each_promise_names_its_tests() -> None:
    promises = sections().keys() - NO_PROMISES
    assert len(promises) >= 10
    for title in promises:
        _, told, tests = sections()[title].partition("*Test.*")
        assert told, title
        assert _PATH.findall(tests), title


def test_the_tests_are_there() -> None:
    named = set(_PATH.findall(PAGE.read_text()))
    assert [path for path in sorted(named) if not list(ROOT.glob(path.rstrip("/")))] == []
    faults = set(_FILE.findall(sections()["Real faults"]))
    assert [name for name in sorted(faults) if not (ROOT / "tests" / "faults" / name).is_file()] == []
