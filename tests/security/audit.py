"""`make audit`: whether a locked dependency has a known vulnerability.

    python -m tests.security.audit [--required]

pip-audit asks OSV about the Python locks, `npm audit` the registry that npm is set up for about the tools from there.
Where a service cannot be asked, that is said, and is no failure unless it is required: a machine without a network can
say nothing about vulnerabilities, good or bad.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.security.locks import ALL, ROOT

_PATIENCE_SECONDS = 300
_SEVERE = ("high", "critical")
"""npm's are tools of the development alone; what is below is not worth a broken pipeline."""

Run: TypeAlias = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit of one lock came to. `problems` is None where nobody could be asked, and `reason` says why."""

    lock: str
    packages: int
    problems: list[str] | None
    reason: str = ""

    def __str__(self) -> str:
        if self.problems is None:
            return f"{self.lock}: SKIPPED, {self.reason}"
        if not self.problems:
            return f"{self.lock}: {self.packages} packages, no known vulnerability"
        return "\n".join([f"{self.lock}: {len(self.problems)} known vulnerabilities", *self.problems])


def audit(run: Run) -> Iterator[Finding]:
    """Each lock in turn."""
    for lock in ALL:
        yield python(lock, run)
    yield node(run)


def python(lock: Path, run: Run) -> Finding:
    """By pip-audit. It needs no pip for a lock with hashes, and installs nothing."""
    name = lock.relative_to(ROOT).as_posix()
    words = [
        "--require-hashes",
        "--disable-pip",
        "--vulnerability-service",
        "osv",
        "--progress-spinner",
        "off",
    ]
    done = run([sys.executable, "-m", "pip_audit", *words, "--format", "json", "--requirement", str(lock)])
    report = _document(done.stdout)
    if "dependencies" not in report:
        return Finding(name, 0, None, f"the vulnerability service gave no answer: {_last_line(done.stderr)}")
    problems = [
        f"  {each['name']} {each['version']}: {bug['id']}, mended in {', '.join(bug['fix_versions']) or 'no version'}"
        for each in report["dependencies"]
        for bug in each.get("vulns", ())
    ]
    return Finding(name, len(report["dependencies"]), problems)


def node(run: Run) -> Finding:
    """By npm."""
    done = run(["npm", "audit", "--json", "--package-lock-only"])
    report = _document(done.stdout)
    if "auditReportVersion" not in report:
        told = report.get("message") or report.get("error", {}).get("summary") or _last_line(done.stderr)
        return Finding("package-lock.json", 0, None, f"npm's registry gave no answer: {told}")
    found = report["vulnerabilities"].values()
    problems = [
        f"  {each['name']} {each['range']}: {each['severity']}"
        for each in found
        if each["severity"] in _SEVERE
    ]
    return Finding("package-lock.json", report["metadata"]["dependencies"]["total"], problems)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was said"])[-1][:200]


def run_command(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it from the root of the repository; what does not run or end has said nothing."""
    try:
        return subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(words), 1, "", str(error))


def main(arguments: Sequence[str] | None = None, run: Run = run_command) -> int:
    """Print what is found. 1 for a vulnerability, and with `--required` for what could not be asked."""
    parser = argparse.ArgumentParser(description="Audit the locked dependencies.")
    parser.add_argument("--required", action="store_true", help="fail where a service cannot be asked")
    required = parser.parse_args(arguments).required
    findings = []
    for finding in audit(run):
        print(finding, flush=True)  # noqa: T201  a command
        findings.append(finding)
    vulnerable = any(finding.problems for finding in findings)
    skipped = any(finding.problems is None for finding in findings)
    return int(vulnerable or (required and skipped))


if __name__ == "__main__":
    sys.exit(main())
