"""How the use cases are put together, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from karman_core.engine.advancing import Advancer
from karman_core.engine.commands import Commands
from karman_core.engine.commits import Committer
from karman_core.engine.control import Controls
from karman_core.engine.dead_letters import DeadLetters
from karman_core.engine.executing import Runner
from karman_core.engine.failures import Failures
from karman_core.engine.graphs import GraphStore
from karman_core.engine.inputs import InputResolver
from karman_core.engine.joining import Joiner
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import OutputStore
from karman_core.engine.prolonging import Prolonger
from karman_core.engine.reading import Reader
from karman_core.engine.registry import NodeRegistry
from karman_core.engine.reopening import Reopener
from karman_core.engine.results import Results
from karman_core.engine.secrets import SecretReader
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.sweeping import Sweeper
from karman_core.engine.triggering import Triggers
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Walker


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the engine's use cases call."""

    registry: NodeRegistry
    graphs: GraphStore
    lifecycle: Lifecycle
    sender: Sender
    triggers: Triggers
    advancer: Advancer
    commands: Commands
    dead_letters: DeadLetters
    reopener: Reopener
    reader: Reader
    sweeper: Sweeper

    @classmethod
    def of(cls, services: Services) -> Self:
        """Put everything together over some ports."""
        registry, graphs = NodeRegistry(services), GraphStore(services)
        controls, outputs = Controls(services), OutputStore(services)
        sender = Sender(services, registry, outputs)
        lifecycle = Lifecycle(services, graphs, controls, sender)
        walker = Walker(services, outputs)
        failures = Failures(services, walker)
        waits = Waits(services, graphs, sender)
        reopener = Reopener(
            services, graphs=graphs, lifecycle=lifecycle, controls=controls, failures=failures, sender=sender
        )
        commands = Commands(lifecycle, waits, reopener)
        runner = Runner(
            services,
            registry=registry,
            inputs=InputResolver(outputs),
            secrets=SecretReader(services),
            committer=Committer(services, outputs),
            controls=controls,
            sender=sender,
        )
        advancer = Advancer(
            services,
            runner=runner,
            joiner=Joiner(services, lifecycle, controls, sender),
            waits=waits,
            sender=sender,
            lifecycle=lifecycle,
            controls=controls,
        )
        return cls(
            registry=registry,
            graphs=graphs,
            lifecycle=lifecycle,
            sender=sender,
            triggers=Triggers(services, graphs, registry, lifecycle, sender),
            advancer=advancer,
            commands=commands,
            dead_letters=DeadLetters(
                services,
                graphs=graphs,
                lifecycle=lifecycle,
                advancer=advancer,
                commands=commands,
                sender=sender,
            ),
            reopener=reopener,
            reader=Reader(
                services,
                graphs=graphs,
                lifecycle=lifecycle,
                outputs=outputs,
                waits=waits,
                walker=walker,
                failures=failures,
                results=Results(services, outputs, walker),
            ),
            sweeper=Sweeper(
                services,
                graphs=graphs,
                lifecycle=lifecycle,
                walker=walker,
                failures=failures,
                waits=waits,
                prolonger=Prolonger(services, graphs, walker),
                sender=sender,
            ),
        )
