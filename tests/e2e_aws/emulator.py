"""MiniStack as these tests need it: with what it leaves out, and listening to what deployed functions call.

A function has an access key of its own, as it would have in AWS, which says whose each request is. Nothing of Karman's
knows of it. Requests are written down with what a policy looks at, and refused while a test wants so.
"""

# ruff: noqa: SLF001  this is about its insides

import json
import re
import runpy
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

import ministack.app  # type: ignore[import-untyped]
from ministack.services import eventbridge, scheduler, sqs  # type: ignore[import-untyped]
from ministack.services.cloudformation import handlers, provisioners  # type: ignore[import-untyped]

from tests.e2e_aws.calls import CALLS, KEY, POLICIES, THROTTLED

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
_REFUSAL = {
    "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
    "message": "Throughput exceeds the current capacity of your table or index.",
}


def note_policies(folder: Path) -> None:
    """Write down the policies that stacks make, with all references resolved.

    MiniStack's IAM cannot be asked: it does not find what it was given so.
    """
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        make = provisioners._RESOURCE_HANDLERS[kind]["create"]

        def create(logical_id: str, props: dict[str, Any], stack: str, make: Any = make) -> Any:
            made = make(logical_id, props, stack)
            policy = {"arn": made[0], "roles": props.get("Roles", []), "document": props["PolicyDocument"]}
            with (folder / POLICIES).open("a", encoding="utf-8") as log:
                log.write(json.dumps(policy) + "\n")
            return made

        provisioners._RESOURCE_HANDLERS[kind]["create"] = create


def mend() -> None:
    """What MiniStack leaves out.

    It schedules every ten seconds; it knows no saved queries of Logs Insights, which are nothing but text that people
    open in the console; it has no SDK for CDK's function that empties a bucket before it goes, which its buckets do not
    ask for; it deletes stacks by their names alone, not by their ARNs; it hands a schedule's input on without the
    time that Scheduler writes into it; and a stack's queues lose where their dead letters go.
    """
    scheduler._SCHEDULE_TICK_INTERVAL = 0.5
    for kind in ("AWS::Logs::QueryDefinition", "Custom::S3AutoDeleteObjects"):
        provisioners._RESOURCE_HANDLERS[kind] = {
            "create": lambda logical_id, _props, _stack: (logical_id, {}),
            "delete": lambda _physical_id, _props: None,
        }
    delete, invoke = handlers._ACTION_HANDLERS["DeleteStack"], eventbridge._invoke_target

    def delete_stack(params: dict[str, Any]) -> Any:
        name = handlers._p(params, "StackName")
        return delete({**params, "StackName": name.split("/")[1] if name.startswith("arn:") else name})

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: Any, view: Any = None) -> Any:
        if event.get("Source") == "aws.scheduler" and "Input" in target:
            due = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(event["Time"]))
            target = {**target, "Input": target["Input"].replace("<aws.scheduler.scheduled-time>", due)}
        return invoke(target, event, rule, view)

    queues = provisioners._RESOURCE_HANDLERS["AWS::SQS::Queue"]
    create_queue = queues["create"]

    def create_with_redrive(logical_id: str, props: dict[str, Any], stack: str) -> Any:
        url, attributes = create_queue(logical_id, props, stack)
        if "RedrivePolicy" in props:
            sqs._queues[url]["attributes"]["RedrivePolicy"] = json.dumps(props["RedrivePolicy"])
        return url, attributes

    queues["create"] = create_with_redrive
    handlers._ACTION_HANDLERS["DeleteStack"] = delete_stack
    eventbridge._invoke_target = invoke_target


class NamedFunctions(subprocess.Popen[Any]):
    """Functions are processes of MiniStack's; each gets its key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        environment = kwargs.get("env") or {}
        if "_LAMBDA_FUNCTION_ARN" in environment:
            name = environment["AWS_LAMBDA_FUNCTION_NAME"]
            kwargs["env"] = {**environment, "AWS_ACCESS_KEY_ID": f"{KEY}{name}"}
        super().__init__(*args, **kwargs)


class Listening:
    """MiniStack's application, behind one that listens."""

    def __init__(self, application: Application, folder: Path) -> None:
        self._application = application
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        found = _CREDENTIAL.search(headers.get("authorization", ""))
        if scope["type"] != "http" or found is None or not found[1].startswith(KEY):
            await self._application(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # its process has ended
            body += message.get("body", b"")
            more = message.get("more_body", False)
        call = noted(found[1].removeprefix(KEY), found[2], scope, headers, body)
        call["refused"] = refused = call["service"] == "dynamodb" and call["who"] == self._throttled()
        with (self._folder / CALLS).open("a", encoding="utf-8") as log:
            log.write(json.dumps(call) + "\n")
        if refused:
            await _refuse(send)
            return
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> dict[str, Any]:
            return whole.pop() if whole else await receive()

        await self._application(scope, again, send)

    def _throttled(self) -> str | None:
        try:
            return (self._folder / THROTTLED).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def noted(who: str, service: str, scope: Scope, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """A request as it is written down; `calls` reads it."""
    payload = service == "s3" and scope["method"] != "POST"
    return {
        "who": who,
        "service": service,
        "method": scope["method"],
        "path": scope["path"],
        "query": scope.get("query_string", b"").decode(),
        "target": headers.get("x-amz-target", ""),
        "body": "" if payload else body.decode("utf-8", "replace"),
    }


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/x-amz-json-1.0")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(_REFUSAL).encode()})


def main(folder: str) -> None:
    """Serve until the process is ended; `folder` is where calls are written down and faults are found."""
    mend()
    note_policies(Path(folder))
    subprocess.Popen = NamedFunctions  # type: ignore[misc]
    ministack.app.app = Listening(ministack.app.app, Path(folder))
    runpy.run_module("ministack", run_name="__main__")
