"""Finding one state by its id, with what came before it: without walking the rest of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from karman_core.domain.branches import Branch, parse_state_id
from karman_core.domain.decide import Fork
from karman_core.domain.definition import JSON
from karman_core.domain.errors import NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position
from karman_core.domain.positions import branch, fork
from karman_core.domain.transitions import StateStatus
from karman_core.engine.graphs import GraphStore
from karman_core.engine.layout_table import LayoutBackend
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import OutputStore
from karman_core.engine.parts import Parts
from karman_core.engine.run_items import Header
from karman_core.engine.secrets import scope
from karman_core.engine.services import Services
from karman_core.engine.settings import EngineSettings
from karman_core.engine.walking import Visit, Walker
from karman_core.ports.backend import Backend
from karman_core.ports.system import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Found:
    """A state, and the states that led to it: `trail` begins with the run's first state and ends with this one."""

    header: Header
    graph: Graph
    trail: tuple[Visit, ...]

    @property
    def visit(self) -> Visit:
        """The state itself."""
        return self.trail[-1]

    @property
    def status(self) -> StateStatus:
        """QUEUED for a state that has no record yet."""
        record = self.visit.record
        return StateStatus.QUEUED if record is None else record.status


class Inspector:
    """Finds states."""

    def __init__(self, services: Services, graphs: GraphStore, lifecycle: Lifecycle) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._outputs = OutputStore(services)
        self._walker = Walker(services, self._outputs)

    @classmethod
    def over(cls, backend: Backend, clock: Clock, entropy: Entropy, settings: EngineSettings) -> Self:
        """Make it over an engine's ports."""
        services = Services(LayoutBackend(backend), clock, entropy, settings)
        parts = Parts.of(services)
        return cls(services, parts.graphs, parts.lifecycle)

    async def find(self, namespace: str, state_id: str) -> Found:
        """The state of an id. Raises NotFound."""
        try:
            run_id, path, number = parse_state_id(state_id)
        except ValueError as error:
            raise NotFound(f"There is no state '{state_id}'.") from error
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        trail = await self._trail(graph, self._walker.root(graph, header.run), path, number)
        if trail is None:
            raise NotFound(f"There is no state '{state_id}'.")
        return Found(header, graph, tuple(trail))

    async def output(self, found: Found) -> Mapping[str, JSON]:
        """What the state gave: its first output, or what it kept when it was pruned; empty if nothing yet."""
        record = found.visit.record
        if record is None:
            return {}
        if record.status is not StateStatus.SUCCEEDED:
            return record.data or {}
        outputs = await self._outputs.of_record(record, 0, 1)
        return outputs[0] if outputs else {}

    async def secrets(self, namespace: str, state_id: str) -> dict[str, str]:
        """The values of the secrets of a state's graph. For workers alone. Raises NotFound."""
        found = await self.find(namespace, state_id)
        names = found.graph.definition.secrets
        if not names:
            return {}
        return await self._services.backend.secrets.get(scope(namespace, found.header.run.graph), names)

    async def _trail(
        self, graph: Graph, start: Position | None, path: Branch, number: int
    ) -> list[Visit] | None:
        trail: list[Visit] = []
        for fork_number, index in path:
            if start is None or not await self._follow(graph, start, fork_number, trail):
                return None
            start = await self._branch(graph, trail[-1], index)
        if start is None or not await self._follow(graph, start, number, trail):
            return None
        return trail

    async def _follow(self, graph: Graph, start: Position, number: int, trail: list[Visit]) -> bool:
        """Add a branch's states up to a number to the trail; False when the branch does not come so far."""
        async for visit in self._walker.branch(graph, start):
            trail.append(visit)
            if visit.position.number == number:
                return True
        return False

    async def _branch(self, graph: Graph, visit: Visit, index: int) -> Position | None:
        """The first position of a branch of the group that a state opened."""
        if visit.record is None or not isinstance(visit.decision, Fork):
            return None
        parent = fork(graph, visit.position, visit.record, visit.decision)
        if index < visit.decision.width:
            return branch(graph, parent, index, visit.decision.starts, None)
        return await self._walker.member_unite(graph, parent, visit.decision)
