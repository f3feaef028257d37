"""Messages of a run that a later release works on: this one does not touch them, and lets another worker have them.

To leave such a message to its lease would count as a crash each time, and in the end as a dead letter, which would end
the run. A copy is sent in its place, for later, and told to look before running: it may have been worked on in part.
While a deployment is under way, a worker of the later release has it a few seconds on. Where there is none (after going
back to a release), the copies come ever more seldom, until somebody upgrades again.
"""

from __future__ import annotations

from karman_core.domain.errors import NewerLayout
from karman_core.domain.message_bodies import passed_on
from karman_core.engine.services import Services
from karman_core.ports.observer import MessagePassedOn
from karman_core.ports.queue import MAX_DELAY_SECONDS, Incoming, Outgoing

FIRST_DELAY_SECONDS = 2
MOST_PASSES = 1_400
"""Two weeks, nearly all of them at the longest delay: as long as a queue would have kept it. Then it is buried."""

_DOUBLINGS = 9
"""After so many, the delay is the longest."""


async def pass_on(services: Services, queue: str, message: Incoming, newer: NewerLayout) -> None:
    """Send the message again, for later; afterwards it may be deleted."""
    body, passes = passed_on(message.body)
    if passes > MOST_PASSES:
        await services.backend.queue.bury(queue, message, f"nobody took it in {MOST_PASSES} passes: {newer}")
        return
    delay = min(FIRST_DELAY_SECONDS * 2 ** min(passes - 1, _DOUBLINGS), MAX_DELAY_SECONDS)
    await services.backend.queue.send(queue, [Outgoing(body, delay_seconds=delay)])
    services.observe(MessagePassedOn(queue, message.id, str(newer), delay))
