"""An account for a test: MiniStack as a process, and the real CDK command line working on it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests import emulators

ROOT = emulators.ROOT
CDK = ROOT / "node_modules" / ".bin" / "cdk"
SUCCEEDED = "SUCCEEDED"
SECONDS = 240
"""That something may take which takes a few; rounds of the clock may be a minute away."""

_SECONDS = 480

T = TypeVar("T")

_MINISTACK = """
import sys
sys.path.insert(0, {root!r})
from tests.e2e_aws.emulator import main
main({folder!r})
"""


@dataclass(frozen=True)
class Account:
    """An empty account, until something is deployed to it."""

    endpoint: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of processes that work on it."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "CDK_", "KARMAN_"))
        }
        return inherited | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": emulators.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": emulators.SECRET_KEY,
            "AWS_REGION": emulators.REGION,
            "AWS_DEFAULT_REGION": emulators.REGION,
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            **self.variables,
        }

    def cdk(self, *words: str, app: Path, context: Mapping[str, object], fails: bool = False) -> str:
        """What the CDK command line says; an error when it fails."""
        given = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in context.items()
        ]
        options = [option for each in given for option in ("--context", each)]
        command = [
            str(CDK),
            *words,
            "--app",
            f"{sys.executable} {app}",
            "--output",
            str(self.folder / "cdk.out"),
        ]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        said = done.stdout + done.stderr
        if bool(done.returncode) is not fails:
            raise AssertionError(f"cdk {' '.join(words)}: exit code {done.returncode}\n{said[-6000:]}")
        return said


def start_account(folder: Path) -> Account:
    """MiniStack, with an account of its own, which ends with this process."""
    port = emulators.free_port()
    environment = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "INFO",
        "MINISTACK_REGION": emulators.REGION,
        "NODE_PATH": str(ROOT / "node_modules"),
    }
    source = _MINISTACK.format(root=str(ROOT), folder=str(folder))
    command: Sequence[str] = [sys.executable, "-c", source]
    # The one way to have another MiniStack than the shared one.
    begun = emulators._begin("ministack", command, port, emulators._is_healthy, environment)  # noqa: SLF001
    return Account(emulators._for_this_process(begun), folder)  # noqa: SLF001


def eventually(look: Callable[[], T], seconds: float = SECONDS) -> T:
    """What `look` gives, once it is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.5)
    return found
