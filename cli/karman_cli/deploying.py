"""Deploying with the CDK command line, which does the work: found, called, and its outputs read.

Which app is deployed: the one that is named; else that of a `cdk.json` in the current folder, as CDK has it; else
Karman's own, from wherever it is installed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from karman_core.domain.errors import InvalidRequest, NotFound

OWN_APP: Final = ("-m", "karman_infra")
FOLDER: Final = Path(".karman")
DEFAULT_STAGE: Final = "dev"

_CONTEXT: Final = "karman"
_MAJOR: Final = 2
_INSTALL: Final = "npm install --global aws-cdk@2"
_VERSION_SECONDS: Final = 60
_STDERR: Final = 2
"""Its descriptor: stdout is for what the command itself tells."""


@dataclass(frozen=True, slots=True)
class Project:
    """What is deployed, and with which context.

    Attributes:
        app: the command line that synthesizes; None for that of `cdk.json`.
        stage: of the configuration.
        context: what is given to CDK, beside what `cdk.json` says itself.
    """

    app: str | None
    stage: str
    context: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, app: str | None, stage: str | None, context: Sequence[str]) -> Project:
        """The project of the current folder.

        Args:
            context: as typed, `key=value`; the value of `karman` is JSON, and replaces that of `cdk.json`.

        Raises:
            InvalidRequest: a context or `cdk.json` cannot be read, or what Karman's own app needs is not installed.
        """
        file = _cdk_json()
        given = dict(_pair(each) for each in context)
        config = given.pop(_CONTEXT, None)
        known = (file.get("context") or {}).get(_CONTEXT) if config is None else config
        settings = dict(_settings(known))
        if stage is not None:
            settings["stage"] = stage
        if app is None and not file.get("app"):
            app = _own_app()
        context_of = {_CONTEXT: json.dumps(settings), **given}
        return cls(app, str(settings.get("stage", DEFAULT_STAGE)), context_of)

    def options(self) -> list[str]:
        """The options of CDK that say so."""
        context = [word for name, value in self.context.items() for word in ("--context", f"{name}={value}")]
        if self.app is None:
            return context
        return ["--app", self.app, "--output", str(FOLDER / "cdk.out"), *context]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deployment tells.

    Attributes:
        stage: of it.
        url: of its API; None for an app without a control plane.
        environment: variables of commands and workers that work on it with AWS credentials.
        file: where these variables were written to.
    """

    stage: str
    url: str | None
    environment: Mapping[str, str]
    file: Path | None


class Cdk:
    """The CDK command line."""

    def __init__(self, executable: str) -> None:
        self._executable = executable

    @classmethod
    def find(cls) -> Cdk:
        """The project's own, else that on the path.

        Raises:
            NotFound: there is none, or no Node.
            InvalidRequest: it is of another major version.
        """
        if shutil.which("node") is None:
            raise NotFound(
                "The CDK command line needs Node, which is not on the path: install Node 22 or newer (nodejs.org), "
                f"then `{_INSTALL}`."
            )
        own = shutil.which("cdk", path=str(Path("node_modules") / ".bin"))
        executable = str(Path(own).absolute()) if own else shutil.which("cdk")
        if executable is None:
            raise NotFound(
                f"The CDK command line is not installed: `{_INSTALL}`, or `make setup` in a clone."
            )
        found = cls(executable)
        found._check()
        return found

    def _check(self) -> None:
        done = subprocess.run(  # noqa: S603  what is on the user's path
            [self._executable, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
        said = (done.stdout + done.stderr).strip()
        version = re.search(r"^(\d+)\.\d+", done.stdout, re.MULTILINE)
        if done.returncode or version is None:
            raise InvalidRequest(f"{self._executable} does not work: {said[-500:] or 'it says nothing'}")
        if int(version[1]) != _MAJOR:
            raise InvalidRequest(
                f"{self._executable} is version {said.split()[0]}; Karman takes CDK {_MAJOR}: `{_INSTALL}`."
            )

    def run(self, *words: str) -> bool:
        """Whether CDK did what it was asked for; what it says goes to stderr, and it may ask back."""
        done = subprocess.run([self._executable, *words], stdout=_STDERR, check=False)  # noqa: S603  as above
        return done.returncode == 0


def bootstrap(cdk: Cdk, project: Project) -> bool:
    """Prepare the account and region for CDK."""
    return cdk.run("bootstrap", *project.options())


def diff(cdk: Cdk, project: Project) -> bool:
    """Show what a deployment would change."""
    return cdk.run("diff", "--all", *project.options())


def deploy(cdk: Cdk, project: Project, *, yes: bool) -> Deployed | None:
    """Deploy all stacks, and keep what they tell; None when CDK did not."""
    FOLDER.mkdir(exist_ok=True)
    outputs = FOLDER / f"{project.stage}.outputs.json"
    outputs.unlink(missing_ok=True)
    approval = ("--require-approval", "never") if yes else ()
    if not cdk.run("deploy", "--all", *approval, "--outputs-file", str(outputs), *project.options()):
        return None
    return _told(project.stage, outputs)


def destroy(cdk: Cdk, project: Project, *, yes: bool) -> bool:
    """Take all stacks away."""
    return cdk.run("destroy", "--all", *(("--force",) if yes else ()), *project.options())


def _told(stage: str, outputs: Path) -> Deployed:
    stacks = json.loads(outputs.read_text(encoding="utf-8")) if outputs.is_file() else {}
    values: list[tuple[str, str]] = [pair for stack in stacks.values() for pair in stack.items()]
    lines = [value for _, value in values if value.startswith("KARMAN_BACKEND=")]
    url = next((value for name, value in values if "ApiUrl" in name), None)
    if not lines:
        return Deployed(stage, url, {}, None)
    environment = dict(word.split("=", 1) for word in lines[0].split())
    file = FOLDER / f"{stage}.env"
    file.write_text(
        "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()),
        encoding="utf-8",
    )
    return Deployed(stage, url, environment, file)


def _own_app() -> str:
    missing = [name for name in ("karman_infra", "aws_cdk", "constructs") if find_spec(name) is None]
    if missing:
        raise InvalidRequest(
            f"Not installed: {', '.join(missing)}. Deploying takes the extra `deploy`: pip install 'karman[deploy]'."
        )
    words = [sys.executable, *OWN_APP]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def _cdk_json() -> Mapping[str, Any]:
    file = Path("cdk.json")
    if not file.is_file():
        return {}
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidRequest(f"{file.absolute()} is not JSON: {error}.") from None
    if not isinstance(read, dict):
        raise InvalidRequest(f"{file.absolute()} is no JSON object.")
    return read


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise InvalidRequest(f"A context is KEY=VALUE, not '{text}'.")
    return name, value


def _settings(given: object) -> Mapping[str, Any]:
    """The configuration, which the app itself validates."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InvalidRequest(f"The context `{_CONTEXT}` is not JSON: {error}.") from None
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidRequest(f"The context `{_CONTEXT}` is no JSON object.")
    return given
