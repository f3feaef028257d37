"""The audit says what it found and what it could not ask; bills of materials have every package with its hashes."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.security import audit, sbom
from tests.security.locks import ALL, FUNCTIONS, ROOT, pins

GOOD = {"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "x"}]}
BAD = {
    "dependencies": [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}]}
    ]
}
NPM_GOOD = {"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"dependencies": {"total": 3}}}
NPM_BAD = {
    **NPM_GOOD,
    "vulnerabilities": {
        "x": {"name": "x", "range": "<2", "severity": "high"},
        "y": {"name": "y", "range": "<3", "severity": "low"},
    },
}


def answering(python: object, node: object) -> audit.Run:
    """Tools that say this: a document, or a text for those that fail."""

    def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        said = node if words[0] == "npm" else python
        if isinstance(said, str):
            return subprocess.CompletedProcess(list(words), 1, "", said)
        return subprocess.CompletedProcess(list(words), 0, json.dumps(said), "")

    return run


@pytest.mark.parametrize(
    ("python", "node", "code", "said"),
    [
        (GOOD, NPM_GOOD, 0, "2 packages, no known vulnerability"),
        (BAD, NPM_GOOD, 1, "a 1: PYSEC-1, mended in 2"),
        (GOOD, NPM_BAD, 1, "x <2: high"),
        (
            "no route to host",
            NPM_GOOD,
            0,
            "SKIPPED, the vulnerability service gave no answer: no route to host",
        ),
        (GOOD, "npm error audit endpoint returned an error", 0, "package-lock.json: SKIPPED"),
        (GOOD, {"message": "405 Method Not Allowed"}, 0, "gave no answer: 405 Method Not Allowed"),
        ([], "", 0, "nothing was said"),
    ],
)
def test_an_audit(
    python: object, node: object, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main([], answering(python, node)) == code
    out = capsys.readouterr().out
    assert said in out
    assert "y <3" not in out
    skipped = "SKIPPED" in out
    assert audit.main(["--required"], answering(python, node)) == int(bool(code or skipped))


def test_an_audit_outlasts_tools_that_are_not_there() -> None:
    done = audit.run_command(["/nowhere/at/all"])
    assert done.returncode == 1
    assert "No such file" in done.stderr


def test_every_lock_has_hashes() -> None:
    for lock in ALL:
        found = list(pins(lock))
        assert len(found) >= (1 if lock.name == "bootstrap.txt" else 20)
        assert all(pin.hashes for pin in found), lock


def test_bills_of_materials(tmp_path: Path) -> None:
    written = sbom.write(tmp_path / "sbom")
    assert [path.name for path in written] == ["functions.cdx.json", "wheel.cdx.json"]
    documents = {}
    for path in written:
        text = path.read_text(encoding="utf-8")
        document = documents[path.name] = json.loads(text)
        assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
        assert all(part["purl"].startswith("pkg:pypi/") for part in document["components"])
        assert all(part["properties"] for part in document["components"])
    functions = {(part["name"], part["version"]) for part in documents["functions.cdx.json"]["components"]}
    assert functions == {(pin.name, pin.version) for pin in pins(FUNCTIONS)}
    wheel = {part["name"] for part in documents["wheel.cdx.json"]["components"]}
    assert {"pydantic", "pydantic-core", "boto3", "uvicorn", "typer", "aws-cdk-lib", "cryptography"} <= wheel
    assert wheel.isdisjoint({"pytest", "mypy", "moto", "pip-audit"})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert documents["wheel.cdx.json"]["metadata"]["component"]["version"] == project["version"]
    again = sbom.write(tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_the_rules_that_look_for_dangerous_calls_are_on() -> None:
    """ruff's S are bandit's: pickle, eval, yaml.load, shell=True, predictable names of files, weak hashes, ..."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "ALL" in ruff["select"]
    assert [code for code in ruff["ignore"] if code.startswith("S") and code[1:2].isdigit()] == ["S311"]
    relaxed = {place for place, codes in ruff["per-file-ignores"].items() if any(c[0] == "S" for c in codes)}
    assert {place for place in relaxed if not place.startswith("tests/")} == set()
