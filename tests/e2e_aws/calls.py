"""What functions called, as policies name it: an action on a resource, with what conditions look at."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree as ET

from tests.emulators import REGION

ACCOUNT = "000000000000"

KEY = "role."
"""What access keys of functions begin with; then comes the function's name."""

CALLS = "calls.jsonl"
"""The file of requests, one a line."""

POLICIES = "policies.jsonl"
"""The file of policies of all roles, likewise."""

THROTTLED = "throttled"
"""While there is a file of this name, requests to DynamoDB of the function that it names are refused."""

_BATCH = "Batch"
_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "AmazonSSM": "ssm",
    "AWSEvents": "events",
}
_PARTITION_OF_QUERY = re.compile(r"^(#\w+) = (:\w+)")
_TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_SCHEDULES = {
    "POST": "CreateSchedule",
    "PUT": "UpdateSchedule",
    "GET": "GetSchedule",
    "DELETE": "DeleteSchedule",
}
_OBJECTS = {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_LOCAL = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True)
class Call:
    """One permission that somebody needed.

    Attributes:
        who: the function.
        conditions: values of the keys that conditions name.
        refused: by the emulator, since a test wanted so.
    """

    who: str
    action: str
    resource: str
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: bool = False


def read_calls(folder: Path) -> list[Call]:
    """All calls so far."""
    whole, _, _ = (
        (folder / CALLS).read_text(encoding="utf-8").rpartition("\n")
    )  # what follows is being written
    lines = whole.splitlines()
    return [call for line in lines for call in calls_of(json.loads(line))]


def calls_of(noted: Mapping[str, Any]) -> Iterator[Call]:
    """What a request needs. A service or operation that is not known here is no action that a policy allows."""
    for action, resource, conditions in _needed(noted):
        yield Call(noted["who"], action, resource, conditions, noted["refused"])


Needed = tuple[str, str, Mapping[str, tuple[str, ...]]]


def _needed(noted: Mapping[str, Any]) -> Iterator[Needed]:
    if noted["service"] == "s3":
        yield from _s3(noted)
    elif noted["service"] == "scheduler":
        yield from _scheduler(noted)
    else:
        target, _, operation = noted["target"].partition(".")
        service = _SERVICES.get(target, noted["service"])
        body = json.loads(noted["body"] or "{}")
        read = {"dynamodb": _dynamodb, "sqs": _sqs, "ssm": _ssm, "events": _events}.get(service)
        if read is None:
            yield f"{service}:{operation or noted['path']}", "?", {}
        else:
            yield from read(operation, body)


def arn(service: str, name: str) -> str:
    """Of something in the emulated account."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


def _dynamodb(operation: str, body: Mapping[str, Any]) -> Iterator[Needed]:
    if operation == "TransactWriteItems":
        for item in body["TransactItems"]:
            ((kind, write),) = item.items()
            yield _on_table(_TRANSACTED[kind], write["TableName"], [_partition(write)])
    elif operation == "BatchGetItem":
        for table, some in body["RequestItems"].items():
            yield _on_table(operation, table, [key["pk"]["S"] for key in some["Keys"]])
    elif operation == "BatchWriteItem":
        for table, writes in body["RequestItems"].items():
            yield _on_table(operation, table, [_partition(*write.values()) for write in writes])
    elif operation == "Query":
        found = _PARTITION_OF_QUERY.match(body["KeyConditionExpression"])
        assert found, body
        place = f"{body['TableName']}/index/{body['IndexName']}" if "IndexName" in body else body["TableName"]
        yield _on_table(operation, place, [body["ExpressionAttributeValues"][found[2]]["S"]])
    else:
        yield _on_table(operation, body["TableName"], [_partition(body)])


def _partition(write: Mapping[str, Any]) -> str:
    return str((write.get("Key") or write["Item"])["pk"]["S"])


def _on_table(operation: str, table: str, keys: list[str]) -> Needed:
    return (
        f"dynamodb:{operation}",
        arn("dynamodb", f"table/{table}"),
        {"dynamodb:LeadingKeys": tuple(dict.fromkeys(keys))},
    )


def _sqs(operation: str, body: Mapping[str, Any]) -> Iterator[Needed]:
    """A batch is allowed by the action of its entries."""
    if operation == "ListQueues":
        yield "sqs:ListQueues", "*", {}
        return
    name = body["QueueName"] if "QueueName" in body else body["QueueUrl"].rpartition("/")[2]
    yield f"sqs:{operation.removesuffix(_BATCH)}", arn("sqs", name), {}


def _ssm(operation: str, body: Mapping[str, Any]) -> Iterator[Needed]:
    names = body.get("Names") or [body.get("Name") or body["Path"]]
    for name in names:
        yield f"ssm:{operation}", arn("ssm", f"parameter{name}"), {}


def _events(operation: str, body: Mapping[str, Any]) -> Iterator[Needed]:
    for entry in body["Entries"]:
        bus = entry["EventBusName"]
        yield f"events:{operation}", bus if bus.startswith("arn:") else arn("events", f"event-bus/{bus}"), {}


def _scheduler(noted: Mapping[str, Any]) -> Iterator[Needed]:
    parts = noted["path"].strip("/").split("/")
    query, body = parse_qs(noted["query"]), json.loads(noted["body"] or "{}")
    if parts == ["schedules"]:
        yield "scheduler:ListSchedules", "*", {}
        return
    group = body.get("GroupName") or query["groupName"][0]
    name = f"schedule/{group}/{unquote(parts[1])}"
    yield f"scheduler:{_SCHEDULES[noted['method']]}", arn("scheduler", name), {}
    if "Target" in body:
        passed = {"iam:PassedToService": ("scheduler.amazonaws.com",)}
        yield "iam:PassRole", body["Target"]["RoleArn"], passed


def _s3(noted: Mapping[str, Any]) -> Iterator[Needed]:
    bucket, _, key = unquote(noted["path"]).lstrip("/").partition("/")
    query = parse_qs(noted["query"], keep_blank_values=True)
    if key:
        yield f"s3:{_OBJECTS[noted['method']]}", f"arn:aws:s3:::{bucket}/{key}", {}
    elif "delete" in query:
        for found in ET.fromstring(noted["body"]).iter(f"{_LOCAL}Key"):
            yield "s3:DeleteObject", f"arn:aws:s3:::{bucket}/{found.text}", {}
    else:
        yield "s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": tuple(query.get("prefix", [""]))}
