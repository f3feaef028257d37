"""Findings of cdk-nag that are meant so, each with its reason; the tests fail on any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aws_cdk import Acknowledgment, Aws, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct

WILDCARDS: Final[Mapping[str, str]] = {
    "Archive": "Foreign messages are named by day, queue and their own id, below one prefix.",
    "Blobs": "Blobs are named by run and content, below the namespaces that the role works for.",
    "CreatingQueues": "Queues of runtimes that nobody knows yet; all their names begin with the stage's prefix.",
    "Firing": "Every version of the one function.",
    "Key": "The key is found by its alias: the condition confines this to the deployment's own.",
    "ListingQueues": "ListQueues knows no resources; it shows names, and Karman looks at those of its stage.",
    "ListingSchedules": "ListSchedules knows no resources; it shows names, and Karman reads those of its group.",
    "NetworkInterfaces": "Lambda makes network interfaces in the configured subnets, whose names it draws.",
    "Receiving": "Queues of all runtimes, known or to come; all their names begin with the stage's prefix.",
    "Registry": "GetAuthorizationToken knows no resources.",
    "Schedules": "Schedules are named by graph and trigger, in a group that holds nothing else.",
    "Secrets": "Secrets are named by graph, below the namespaces that the role works for.",
    "Sending": "Queues of all runtimes, known or to come; all their names begin with the stage's prefix.",
    "Timers": "Timers are named by what they send, in a group that holds nothing else; queues as above.",
    "Tracing": "X-Ray's two calls know no resources.",
}
"""Why a statement's resources have a wildcard, by the statement's id."""


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Say that a finding below a construct is meant.

    Args:
        construct: all below it is meant too.
        rule: of AwsSolutions without that prefix, with what was found: `IAM5[Resource::*]`.
        reason: why it is right here.
    """
    Validations.of(construct).acknowledge(
        Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
    )


def acknowledge_wildcards(construct: IConstruct, statements: Iterable[iam.PolicyStatement]) -> None:
    """The same for each resource with a wildcard in these statements. Raises KeyError for one with no reason."""
    found = {
        resource: WILDCARDS[statement.sid or ""]
        for statement in statements
        for resource in statement.resources
        if "*" in resource
    }
    for resource, reason in found.items():
        acknowledge(construct, f"IAM5[Resource::{_readable(resource)}]", reason)


def _readable(resource: str) -> str:
    """As cdk-nag writes it."""
    for token, name in (
        (Aws.PARTITION, "Partition"),
        (Aws.REGION, "Region"),
        (Aws.ACCOUNT_ID, "AccountId"),
    ):
        resource = resource.replace(token, f"<AWS::{name}>")
    return resource
