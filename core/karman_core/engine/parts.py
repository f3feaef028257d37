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
from karman_core.engine.group_reading import GroupReader
from karman_core.engine.inputs import InputResolver
from karman_core.engine.joining import Joiner
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.listing import RunLister
from karman_core.engine.outputs import OutputStore
from karman_core.engine.pacing import Pacer
from karman_core.engine.prolonging import Prolonger
from karman_core.engine.purging import Purger
from karman_core.engine.quotas import Quotas
from karman_core.engine.reading import Reader
from karman_core.engine.receiving import Receiver
from karman_core.engine.registry import NodeRegistry
from karman_core.engine.reopening import Reopener
from karman_core.engine.rerunning import Reruns
from karman_core.engine.results import Results
from karman_core.engine.secrets import SecretReader
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.skipping import Skipper
from karman_core.engine.slot_pools import SlotPools
from karman_core.engine.slots import Slots
from karman_core.engine.starts import StartLimits
from karman_core.engine.sweeping import Sweeper
from karman_core.engine.tagging import RunTags
from karman_core.engine.triggering import Triggers
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Walker


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the engine's use cases call."""

    base: _Base
    quotas: Quotas
    slots: Slots
    registry: NodeRegistry
    graphs: GraphStore
    controls: Controls
    lifecycle: Lifecycle
    sender: Sender
    triggers: Triggers
    runner: Runner
    advancer: Advancer
    commands: Commands
    receiver: Receiver
    dead_letters: DeadLetters
    reopener: Reopener
    skipper: Skipper
    purger: Purger
    reruns: Reruns
    reader: Reader
    groups: GroupReader
    lister: RunLister
    sweeper: Sweeper

    @classmethod
    def of(cls, services: Services, shared: Parts | None = None) -> Self:
        """Put everything together over some ports; `shared` lends its caches, and what runs no nodes."""
        base = _Base.of(services) if shared is None else shared.base
        failures = Failures(services, base.walker)
        reopener = Reopener(
            services,
            graphs=base.graphs,
            lifecycle=base.lifecycle,
            failures=failures,
            sender=base.sender,
        )
        skipper = _skipper(services, base, reopener)
        purger = Purger(services, base.graphs, base.controls, base.sender, base.slots)
        commands = Commands(base.lifecycle, base.waits, reopener, skipper, purger)
        runner, triggers = _runner(services, base), _triggers(services, base)
        advancer = _advancer(services, base, runner)
        receiver = Receiver(services, base.graphs, base.lifecycle, advancer, base.sender, commands)
        return cls(
            base=base,
            quotas=base.quotas,
            slots=base.slots,
            registry=base.registry,
            graphs=base.graphs,
            controls=base.controls,
            lifecycle=base.lifecycle,
            sender=base.sender,
            triggers=triggers,
            runner=runner,
            advancer=advancer,
            commands=commands,
            receiver=receiver,
            dead_letters=DeadLetters(receiver),
            reopener=reopener,
            skipper=skipper,
            purger=purger,
            reruns=_reruns(services, base, triggers),
            reader=_reader(services, base, failures),
            groups=GroupReader(services, base.graphs, base.lifecycle, base.outputs, base.walker),
            lister=RunLister(services),
            sweeper=_sweeper(services, base, failures, purger),
        )


@dataclass(frozen=True, slots=True)
class _Base:
    """What several parts share."""

    quotas: Quotas
    starts: StartLimits
    slots: Slots
    pacer: Pacer
    registry: NodeRegistry
    graphs: GraphStore
    controls: Controls
    outputs: OutputStore
    sender: Sender
    lifecycle: Lifecycle
    walker: Walker
    waits: Waits
    results: Results

    @classmethod
    def of(cls, services: Services) -> Self:
        registry, graphs = NodeRegistry(services), GraphStore(services)
        controls, outputs = Controls(services), OutputStore(services)
        sender, walker = Sender(services, registry, outputs), Walker(services, outputs)
        results = Results(services, outputs, walker)
        quotas, starts = Quotas(services), StartLimits(services, sender)
        slots = Slots(services, graphs, sender, quotas, SlotPools(services))
        return cls(
            quotas=quotas,
            starts=starts,
            pacer=Pacer(services, quotas),
            registry=registry,
            graphs=graphs,
            controls=controls,
            outputs=outputs,
            sender=sender,
            lifecycle=Lifecycle(
                services, graphs, controls, sender, RunTags(services, results), starts, slots
            ),
            slots=slots,
            walker=walker,
            waits=Waits(services, graphs, controls, sender),
            results=results,
        )


def _triggers(services: Services, base: _Base) -> Triggers:
    return Triggers(
        services,
        base.graphs,
        base.registry,
        base.lifecycle,
        base.sender,
        base.starts,
        base.quotas,
        base.slots,
    )


def _runner(services: Services, base: _Base) -> Runner:
    return Runner(
        services,
        registry=base.registry,
        inputs=InputResolver(services, base.outputs),
        secrets=SecretReader(services),
        committer=Committer(services, base.outputs, base.quotas),
        controls=base.controls,
        sender=base.sender,
    )


def _advancer(services: Services, base: _Base, runner: Runner) -> Advancer:
    return Advancer(
        services,
        runner=runner,
        joiner=Joiner(services, base.lifecycle, base.controls, base.sender, base.waits),
        waits=base.waits,
        sender=base.sender,
        lifecycle=base.lifecycle,
        controls=base.controls,
        pacer=base.pacer,
    )


def _reader(services: Services, base: _Base, failures: Failures) -> Reader:
    return Reader(
        services,
        graphs=base.graphs,
        lifecycle=base.lifecycle,
        outputs=base.outputs,
        waits=base.waits,
        walker=base.walker,
        failures=failures,
        results=base.results,
    )


def _reruns(services: Services, base: _Base, triggers: Triggers) -> Reruns:
    return Reruns(
        services,
        graphs=base.graphs,
        lifecycle=base.lifecycle,
        sender=base.sender,
        walker=base.walker,
        triggers=triggers,
    )


def _skipper(services: Services, base: _Base, reopener: Reopener) -> Skipper:
    return Skipper(
        services,
        graphs=base.graphs,
        registry=base.registry,
        lifecycle=base.lifecycle,
        walker=base.walker,
        reopener=reopener,
        committer=Committer(services, base.outputs, base.quotas),
        waits=base.waits,
        sender=base.sender,
        quotas=base.quotas,
    )


def _sweeper(services: Services, base: _Base, failures: Failures, purger: Purger) -> Sweeper:
    return Sweeper(
        services,
        graphs=base.graphs,
        lifecycle=base.lifecycle,
        walker=base.walker,
        failures=failures,
        waits=base.waits,
        prolonger=Prolonger(services, base.graphs, base.walker),
        purger=purger,
        sender=base.sender,
        slots=base.slots,
    )
