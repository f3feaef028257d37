"""The threats in docs/security.md each name a defence and tests, and these are there."""

import re

from tests.security.locks import ROOT


def test_each_threat_names_tests_that_there_are() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    part = text.split("## Threats")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0].strip() not in {"threat", "---"}]
    assert len(rows) > 15
    missing = []
    for row in rows:
        threat, defence, tests = (cell.strip() for cell in row)
        assert threat
        assert defence
        names = re.findall(r"`([a-z0-9_/]+)`", tests)
        assert names or tests == "the same", row
        missing += [name for name in names if not _there(name)]
    assert missing == []


def _there(name: str) -> bool:
    path = ROOT / "tests" / name
    return path.is_dir() or path.with_suffix(".py").is_file()
