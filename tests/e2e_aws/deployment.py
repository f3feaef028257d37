"""An account for a test: MiniStack as a process, and the real CDK command line working on it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import emulators

ROOT = emulators.ROOT
CDK = ROOT / "node_modules" / ".bin" / "cdk"
ACCOUNT = "000000000000"
_SECONDS = 240

# What MiniStack leaves out: it schedules every ten seconds; it knows no saved queries of Logs Insights, which are
# nothing but text that people open in the console; it has no SDK for CDK's function that empties a bucket before it
# goes, which its buckets do not ask for; it deletes stacks by their names alone, not by their ARNs; and it hands a
# schedule's input on without the time that Scheduler writes into it.
_MINISTACK = """
import runpy, time
from ministack.services import eventbridge, scheduler
from ministack.services.cloudformation import handlers, provisioners
scheduler._SCHEDULE_TICK_INTERVAL = 0.5
for kind in ("AWS::Logs::QueryDefinition", "Custom::S3AutoDeleteObjects"):
    provisioners._RESOURCE_HANDLERS[kind] = {
        "create": lambda logical_id, props, stack: (logical_id, {}),
        "delete": lambda physical_id, props: None,
    }
delete = handlers._ACTION_HANDLERS["DeleteStack"]
def delete_stack(params):
    name = handlers._p(params, "StackName")
    return delete({**params, "StackName": name.split("/")[1] if name.startswith("arn:") else name})
handlers._ACTION_HANDLERS["DeleteStack"] = delete_stack
invoke = eventbridge._invoke_target
def invoke_target(target, event, rule):
    if event.get("Source") == "aws.scheduler" and "Input" in target:
        due = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(event["Time"]))
        target = {**target, "Input": target["Input"].replace("<aws.scheduler.scheduled-time>", due)}
    return invoke(target, event, rule)
eventbridge._invoke_target = invoke_target
runpy.run_module("ministack", run_name="__main__")
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
    port = emulators._free_port()  # noqa: SLF001  the one way to have another MiniStack than the shared one
    environment = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "INFO",
        "MINISTACK_REGION": emulators.REGION,
        "NODE_PATH": str(ROOT / "node_modules"),
    }
    command: Sequence[str] = [sys.executable, "-c", _MINISTACK]
    endpoint = emulators._start("ministack", command, port, emulators._is_healthy, environment)  # noqa: SLF001
    return Account(endpoint, folder)
