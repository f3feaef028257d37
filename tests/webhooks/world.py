"""Deliveries on the embedded backend in memory: the time belongs to the test, and receivers answer what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.errors import InvalidRequest
from karman_core.domain.webhooks import Answer, DeliveryStatus, mismatch
from karman_core.engine import EngineSettings
from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook
from karman_core.engine.webhooks import Webhooks
from karman_core.ports.events import Event
from karman_runtime.webhooks import WebhookLoop
from tests.scenario.clock import ManualClock, SeededEntropy
from tests.scenario.faults import Faults, Process

NS = "ns"
URL = "https://hooks.example.com/in"
_EARLIEST = (
    "SELECT min(at) FROM (SELECT hidden_until AS at FROM messages WHERE hidden_until IS NOT NULL"
    " UNION ALL SELECT at_ms FROM timers)"
)


@dataclass(frozen=True, slots=True)
class Post:
    """A request that was sent."""

    at_ms: int
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed_with(self, *secrets: str) -> bool:
        return mismatch(secrets, self.headers, self.body, self.at_ms / 1000) is None


@dataclass
class FakePoster:
    """Receivers: each gives its answers one after the other, the last one for ever."""

    clock: ManualClock
    answers: dict[str, list[Answer | int]] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    process: Process | None = None

    async def check(self, url: str) -> None:
        if "inside" in url:
            raise InvalidRequest("inside")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async def send() -> Answer:
            self.posts.append(Post(self.clock.now_ms(), url, dict(headers), body))
            left = self.answers.get(url, [200])
            answer = left.pop(0) if len(left) > 1 else left[0]
            return Answer(answer) if isinstance(answer, int) else answer

        if self.process is None:
            return await send()
        answer: Answer = await crashing(self.process, send)
        return answer


async def crashing(process: Process, action: Any) -> Any:
    """A call that the process may die before or after, as at a port."""
    faults = process._faults  # noqa: SLF001  that of the scenario
    number = faults.count
    faults.count += 1
    if faults.crash_at == (number, False):
        process._die()  # noqa: SLF001
    result = await action()
    if faults.crash_at == (number, True):
        process._die()  # noqa: SLF001
    return result


class Hooks:
    """See the module."""

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.clock, self.entropy, self.faults = ManualClock(), SeededEntropy(), Faults()
        self.backend = EmbeddedBackend.open(":memory:", clock=self.clock, entropy=self.entropy)
        self.settings = settings or EngineSettings()
        self.poster = FakePoster(self.clock)
        self.webhooks = Webhooks.over(self.backend, self.clock, self.entropy, self.settings, self.poster)
        self.loop = self.restart()

    def restart(self) -> WebhookLoop:
        """Another process, which knows nothing."""
        process = Process(self.backend, self.faults)
        poster = FakePoster(self.clock, self.poster.answers, self.poster.posts, process)
        webhooks = Webhooks.over(process, self.clock, self.entropy, self.settings, poster)
        self.loop = WebhookLoop(
            self.backend.events, process.queue, process.table, webhooks.deliveries, self.clock
        )
        return self.loop

    async def prepare(self, *answers: Answer | int, url: str = URL, **options: Any) -> IssuedWebhook:
        """A webhook whose receiver answers so."""
        await self.backend.queue.create("@webhooks")
        if answers:
            self.poster.answers[url] = list(answers)
        return await self.webhooks.create(NS, url, **options)

    async def happen(self, number: int = 0, kind: str = "run.succeeded", graph: str = "g") -> Event:
        """An event of a run."""
        self.clock.advance(0.001)
        detail = {"run_id": f"r{number}", "graph": graph, "tags": {}}
        event = Event(f"r{number}-0-{kind[4:].upper()}", kind, NS, self.clock.now_ms(), detail)
        await self.backend.events.publish([event])
        return event

    async def drive(self) -> None:
        """Until nothing is left that could happen; time passes when there is nothing to do."""
        for _ in range(1_000):
            told = await self.loop.follow()
            begun = await self.loop.deliver()
            await self.loop.settle()
            if not (told or begun) and not self._skip_time():
                return
        raise AssertionError("It comes to no end.")

    def _skip_time(self) -> bool:
        with self.backend.database.read() as connection:
            (at_ms,) = connection.execute(_EARLIEST).fetchone()
        if at_ms is None:
            return False
        self.clock.advance_to(max(at_ms, self.clock.now_ms() + 1))
        return True

    async def deliveries(self, webhook_id: str) -> Sequence[DeliveryView]:
        return (await self.webhooks.page(NS, webhook_id)).deliveries

    async def delivery(self, webhook_id: str) -> DeliveryView:
        (view,) = await self.deliveries(webhook_id)
        return view


ENDED = {DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.DROPPED}
