"""What each role may do, call by call. One function a capability; each returns what a role's policy is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from karman_core.backends.aws.names import escaped
from karman_core.backends.aws.settings import RUN_BLOBS
from karman_core.engine.webhook_items import WEBHOOK_SECRETS
from karman_core.ports.table import BY_GRAPH, BY_TIME, UNFINISHED
from karman_infra.deployment import Deployment
from karman_infra.storage import ARCHIVE

READ: Final = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
WRITE: Final = (
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
)
LISTS: Final = (BY_TIME.name, BY_GRAPH.name)
SWEPT: Final = (UNFINISHED.name,)


def table(deployment: Deployment) -> iam.PolicyStatement:
    """Reading and writing all items, some of them on condition of others."""
    actions = [*READ, *WRITE, "dynamodb:ConditionCheckItem"]
    return iam.PolicyStatement(sid="Table", actions=actions, resources=[deployment.table_arn])


def items_of(
    deployment: Deployment, namespaces: Sequence[str], known: Sequence[str] = ()
) -> list[iam.PolicyStatement]:
    """Reading and writing items of some namespaces, whose names begin every partition key.

    Args:
        namespaces: all of theirs but API keys, webhooks and the audit, which nobody reads or writes who runs users'
            code, and graphs and quotas, which such code only reads.
        known: other namespaces, whose registered nodes are read.
    """
    own = [f"{namespace}#*" for namespace in namespaces]
    operators = [
        pattern
        for namespace in namespaces
        for pattern in (
            f"{namespace}#keys",
            f"{namespace}#audit",
            f"{namespace}#audit#*",
            f"{namespace}#webhooks",
            f"{namespace}#webhook#*",
        )
    ]
    read_only = [
        pattern
        for namespace in namespaces
        for pattern in (f"{namespace}#graphs", f"{namespace}#graph#*", f"{namespace}#quotas")
    ]
    statements = [
        _items("Items", [*READ, *WRITE], deployment, own, "ForAllValues"),
        _items("NotForWorkers", [*READ, *WRITE], deployment, operators, "ForAnyValue", iam.Effect.DENY),
        _items("OnlyRead", WRITE, deployment, read_only, "ForAnyValue", iam.Effect.DENY),
    ]
    if known:
        nodes = [f"{namespace}#nodes" for namespace in known]
        statements.append(_items("NodesOfOthers", ["dynamodb:GetItem"], deployment, nodes, "ForAllValues"))
    return statements


def _items(
    sid: str,
    actions: Sequence[str],
    deployment: Deployment,
    keys: Sequence[str],
    every: str,
    effect: iam.Effect = iam.Effect.ALLOW,
) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid=sid,
        effect=effect,
        actions=list(actions),
        resources=[deployment.table_arn],
        conditions={f"{every}:StringLike": {"dynamodb:LeadingKeys": list(keys)}},
    )


def indexes(deployment: Deployment, index_names: Sequence[str]) -> iam.PolicyStatement:
    """Lists of runs."""
    return iam.PolicyStatement(
        sid="Indexes",
        actions=["dynamodb:Query"],
        resources=[f"{deployment.table_arn}/index/{name}" for name in index_names],
    )


def sending(queue_arns: Sequence[str], *, timers: bool = True) -> iam.PolicyStatement:
    """Sending, and finding the queue by its name. A timer needs the queue's ARN, which is an attribute."""
    actions = ["sqs:GetQueueUrl", "sqs:SendMessage", *(["sqs:GetQueueAttributes"] if timers else [])]
    return iam.PolicyStatement(sid="Sending", actions=sorted(actions), resources=list(queue_arns))


def receiving(queue_arns: Sequence[str]) -> iam.PolicyStatement:
    """Receiving, holding and deleting messages."""
    return iam.PolicyStatement(
        sid="Receiving",
        actions=[
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ],
        resources=list(queue_arns),
    )


def listing_queues() -> iam.PolicyStatement:
    """Finding queues by how their names begin."""
    return iam.PolicyStatement(sid="ListingQueues", actions=["sqs:ListQueues"], resources=["*"])


def creating_queues(deployment: Deployment) -> iam.PolicyStatement:
    """Making task queues at run time."""
    return iam.PolicyStatement(
        sid="CreatingQueues", actions=["sqs:CreateQueue"], resources=deployment.task_queue_arns()
    )


def timers(deployment: Deployment) -> list[iam.PolicyStatement]:
    """One-time schedules, in the role of the scheduler."""
    writing = iam.PolicyStatement(
        sid="Timers",
        actions=["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"],
        resources=[deployment.schedules_arn(deployment.timer_group)],
    )
    return [writing, _passing(deployment)]


def schedules(deployment: Deployment) -> list[iam.PolicyStatement]:
    """The cron triggers of graphs. Whoever has this has `timers` too, so the role is passed there."""
    writing = iam.PolicyStatement(
        sid="Schedules",
        actions=[
            "scheduler:CreateSchedule",
            "scheduler:DeleteSchedule",
            "scheduler:GetSchedule",
            "scheduler:UpdateSchedule",
        ],
        resources=[deployment.schedules_arn(deployment.schedule_group)],
    )
    # ListSchedules knows no resources: it is allowed for all groups or for none.
    listing = iam.PolicyStatement(
        sid="ListingSchedules", actions=["scheduler:ListSchedules"], resources=["*"]
    )
    return [writing, listing]


def blobs(deployment: Deployment, namespaces: Sequence[str] | None = None) -> list[iam.PolicyStatement]:
    """Large payloads of runs; of some namespaces alone. They are deleted with their run, when it is purged."""
    prefixes = (
        [f"{RUN_BLOBS}*"] if namespaces is None else [f"{RUN_BLOBS}{namespace}/*" for namespace in namespaces]
    )
    objects = iam.PolicyStatement(
        sid="Blobs",
        actions=["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
        resources=[f"{deployment.bucket_arn}/{prefix}" for prefix in prefixes],
    )
    listing = iam.PolicyStatement(
        sid="ListingBlobs",
        actions=["s3:ListBucket"],
        resources=[deployment.bucket_arn],
        conditions={"StringLike": {"s3:prefix": prefixes}},
    )
    return [objects, listing]


def archiving(deployment: Deployment) -> iam.PolicyStatement:
    """Foreign messages, once each."""
    return iam.PolicyStatement(
        sid="Archive", actions=["s3:PutObject"], resources=[f"{deployment.bucket_arn}/{ARCHIVE}*"]
    )


def secrets(
    deployment: Deployment, namespaces: Sequence[str] | None, *, write: bool
) -> list[iam.PolicyStatement]:
    """Reading secrets, of some namespaces alone; setting them."""
    base = deployment.secrets_arn
    paths = [f"{base}/*"] if namespaces is None else [f"{base}/{namespace}/*" for namespace in namespaces]
    writing = ["ssm:DeleteParameters", "ssm:GetParametersByPath", "ssm:PutParameter"]
    actions = ["ssm:GetParameters", *(writing if write else [])]
    return [iam.PolicyStatement(sid="Secrets", actions=actions, resources=paths)]


def events(deployment: Deployment) -> iam.PolicyStatement:
    """Publishing status changes."""
    return iam.PolicyStatement(sid="Events", actions=["events:PutEvents"], resources=[deployment.bus_arn])


def key(deployment: Deployment) -> list[iam.PolicyStatement]:
    """Using the deployment's key, if it has one of its own: found by its alias, since its ARN is drawn."""
    if not deployment.config.customer_key:
        return []
    return [
        iam.PolicyStatement(
            sid="Key",
            actions=["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
            resources=[f"arn:{Aws.PARTITION}:kms:{Aws.REGION}:{Aws.ACCOUNT_ID}:key/*"],
            conditions={"ForAnyValue:StringEquals": {"kms:ResourceAliases": deployment.key_alias}},
        )
    ]


def starting(deployment: Deployment) -> list[iam.PolicyStatement]:
    """Beginning runs of any graph: a message for each, and its header; timers for what is to come much later."""
    return [
        table(deployment),
        sending(deployment.task_queue_arns()),
        *timers(deployment),
        *key(deployment),
    ]


def following(deployment: Deployment) -> list[iam.PolicyStatement]:
    """What the engine does on behalf of any run, whoever it is in the control plane."""
    return [
        table(deployment),
        sending(deployment.task_queue_arns()),
        *timers(deployment),
        *blobs(deployment),
        events(deployment),
        *key(deployment),
    ]


def delivering(deployment: Deployment) -> list[iam.PolicyStatement]:
    """What the deliveries of webhooks take: their items and secrets, of all namespaces, and timers of their own."""
    items = _items(
        "Webhooks",
        ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
        deployment,
        ["*#webhooks", "*#webhook#*"],
        "ForAllValues",
    )
    signing = iam.PolicyStatement(
        sid="Secrets",
        actions=["ssm:GetParameters"],
        resources=[f"{deployment.secrets_arn}/{escaped(WEBHOOK_SECRETS)}/*"],
    )
    retrying = iam.PolicyStatement(
        sid="Timers",
        actions=["scheduler:CreateSchedule", "scheduler:UpdateSchedule"],
        resources=[deployment.schedules_arn(deployment.timer_group)],
    )
    return [items, signing, retrying, _passing(deployment), *key(deployment)]


def working(
    deployment: Deployment, *, queue: str, namespaces: Sequence[str], sends_to: Sequence[str]
) -> list[iam.PolicyStatement]:
    """What a worker does: on one task queue, for runs of some namespaces.

    Args:
        queue: its own, `namespace/runtime`.
        namespaces: whose runs it works on.
        sends_to: the other task queues that these runs go on in.
    """
    own = deployment.queue_arn(queue)
    targets = [own, deployment.dead_letter_arn(queue), *map(deployment.queue_arn, sorted(sends_to))]
    return [
        *items_of(
            deployment, namespaces, sorted({_namespace(other) for other in sends_to} - set(namespaces))
        ),
        receiving([own]),
        sending(targets),
        *timers(deployment),
        *blobs(deployment, namespaces),
        *secrets(deployment, namespaces, write=False),
        events(deployment),
        *key(deployment),
    ]


def _passing(deployment: Deployment) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="PassingTheSchedulersRole",
        actions=["iam:PassRole"],
        resources=[deployment.scheduler_role_arn],
        conditions={"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    )


def _namespace(queue: str) -> str:
    return queue.partition("/")[0]
