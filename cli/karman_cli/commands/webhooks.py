"""`karman webhooks`: where events of runs are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView

WebhookId = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, as `karman webhooks` shows it.")
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="KIND",
        help="Such as run.failed; can be given several times. Default: ends of runs.",
    ),
]
Graphs = Annotated[
    list[str] | None,
    typer.Option("--graph", metavar="GRAPH", help="Only of this graph's runs; can be given several times."),
]
Overlap = Annotated[
    str,
    typer.Option(
        "--overlap",
        metavar="AGE",
        help="Requests are signed with both for so long: 0s, 15m, 2h, at most 30d.",
    ),
]
Last = Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, help="At most so many.")]


@operating
def list_webhooks(session: Session) -> None:
    """List the webhooks, oldest first. Their secrets are not shown."""
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    found = session.run(lambda connection: connection.webhooks())
    if session.as_json:
        print_document({"webhooks": found})
    elif not found:
        note("no webhooks")
    else:
        rows = [
            (
                each.id,
                _state(each),
                ", ".join(each.events),
                ", ".join(each.graphs),
                each.url,
                when(each.created_ms),
            )
            for each in found
        ]
        print_table(("WEBHOOK", "", "EVENTS", "GRAPHS", "URL", "CREATED"), rows)


@operating
def add_webhook(
    session: Session,
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Its URL: https, and public.")],
    *,
    event: Events = None,
    graph: Graphs = None,
) -> None:
    """Make a webhook. The secret that its requests are signed with is printed this once."""
    issued = session.run(lambda connection: connection.create_webhook(receiver, event, graph or []))
    _print_issued(issued, as_json=session.as_json)


@operating
def show_webhook(session: Session, webhook: WebhookId) -> None:
    """Show a webhook."""
    from karman_cli.output import print_document

    print_document(session.run(lambda connection: connection.webhook(webhook)))


@operating
def test_webhook(session: Session, webhook: WebhookId) -> int:
    """Send an event `webhook.test` and say what the receiver answered; exits with 1 if it did not take it."""
    from karman_cli.output import note, print_document
    from karman_core.domain.webhooks import DeliveryStatus

    delivery = session.run(lambda connection: connection.test_webhook(webhook))
    delivered = delivery.status is DeliveryStatus.DELIVERED
    if session.as_json:
        print_document(delivery)
    elif delivered:
        note(f"delivered: the receiver answered with status {delivery.response_status}")
    else:
        note(f"not delivered: {delivery.error}")
    return 0 if delivered else 1


@operating
def rotate_webhook(session: Session, webhook: WebhookId, *, overlap: Overlap = "1d") -> None:
    """Give a webhook another secret, printed this once; the receiver has the overlap to change."""
    from karman_cli.values import overlap_seconds

    seconds = overlap_seconds(overlap)
    issued = session.run(lambda connection: connection.rotate_webhook(webhook, seconds))
    _print_issued(issued, as_json=session.as_json)


@operating
def enable_webhook(session: Session, webhook: WebhookId) -> None:
    """Let a webhook be delivered to. What happened while it was disabled is not made up for."""
    _set(session, webhook, enabled=True)


@operating
def disable_webhook(session: Session, webhook: WebhookId) -> None:
    """Deliver nothing to a webhook; what is under way is dropped."""
    _set(session, webhook, enabled=False)


@operating
def delete_webhook(session: Session, webhook: WebhookId) -> None:
    """End a webhook; what is under way is dropped."""
    from karman_cli.output import note, print_document

    session.run(lambda connection: connection.delete_webhook(webhook))
    if session.as_json:
        print_document({"id": webhook, "deleted": True})
    else:
        note(f"webhook {webhook} is deleted")


@operating
def list_deliveries(session: Session, webhook: WebhookId, *, limit: Last = 20) -> None:
    """What became of the webhook's events, those of the newest first."""
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    async def read(connection: Connection) -> list[DeliveryView]:
        return [each async for each in connection.deliveries(webhook, limit)]

    found = session.run(read)
    if session.as_json:
        print_document({"deliveries": found})
    elif not found:
        note("no deliveries")
    else:
        rows = [
            (
                each.id,
                each.event,
                each.status.value,
                str(each.attempts),
                str(each.response_status or "-"),
                when(each.next_ms),
                each.error or "",
            )
            for each in found
        ]
        print_table(("DELIVERY", "EVENT", "STATUS", "ATTEMPTS", "ANSWER", "NEXT", "ERROR"), rows)


@operating
def retry_delivery(
    session: Session,
    webhook: WebhookId,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")],
) -> None:
    """Attempt a delivery again, in a moment, however it stands."""
    from karman_cli.output import note, print_document

    view = session.run(lambda connection: connection.retry_delivery(webhook, delivery))
    if session.as_json:
        print_document(view)
    else:
        note(f"delivery {delivery} is attempted again")


def _set(session: Session, webhook: str, *, enabled: bool) -> None:
    from karman_cli.output import note, print_document

    view = session.run(lambda connection: connection.set_webhook(webhook, enabled=enabled))
    if session.as_json:
        print_document(view)
    else:
        note(f"webhook {webhook} is {_state(view)}")


def _state(webhook: WebhookView) -> str:
    return "enabled" if webhook.enabled else "disabled"


def _print_issued(issued: IssuedWebhook, *, as_json: bool) -> None:
    from karman_cli.output import note, print_document, print_text

    if as_json:
        print_document(issued)
        return
    note(f"webhook {issued.id} for {', '.join(issued.events)}; its secret is shown once:")
    print_text(issued.secret)
