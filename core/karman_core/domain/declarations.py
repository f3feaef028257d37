"""Validation of what a definition declares beside its wiring: nodes, secrets, the store's keys and triggers."""

from __future__ import annotations

from collections.abc import Iterator

from karman_core.domain.cron import trigger_name, validate_cron
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.paths import join
from karman_core.domain.registered import RegisteredNodes, node_key
from karman_core.domain.run_inputs import run_problems
from karman_core.domain.wiring import Wiring, quote


def declaration_problems(wiring: Wiring, nodes: RegisteredNodes | None) -> Iterator[Problem]:
    """What is wrong with the declarations of a definition; with no `nodes`, all are taken to exist."""
    definition = wiring.definition
    if nodes is not None:
        yield from _nodes(definition, nodes)
    yield from _repeated(definition.secrets, "secrets", "duplicate_secret")
    yield from _repeated(
        definition.store_config.required_keys, "store_config.required_keys", "duplicate_store_key"
    )
    yield from _triggers(wiring, nodes)


def _nodes(definition: GraphDefinition, nodes: RegisteredNodes) -> Iterator[Problem]:
    secrets = frozenset(definition.secrets)
    for i, instance in enumerate(definition.nodes):
        path, node = f"nodes[{i}].node_name", nodes.get(node_key(instance))
        if node is None:
            where = (
                f"in the namespace '{instance.namespace}'"
                if instance.namespace
                else "in the graph's namespace"
            )
            yield Problem(path, "unknown_node", f"No node '{instance.node_name}' is registered {where}.")
        elif missing := [name for name in node.secrets if name not in secrets]:
            message = (
                f"'{node.name}' reads {quote(missing)}, not among the graph's secrets; add it to `secrets`."
            )
            yield Problem(path, "unknown_secret", message)


def _repeated(names: tuple[str, ...], path: str, code: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            yield Problem(f"{path}[{i}]", code, f"'{name}' is named twice.")
        seen.add(name)


def _triggers(wiring: Wiring, nodes: RegisteredNodes | None) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, trigger in enumerate(wiring.definition.triggers):
        path, name = f"triggers[{i}]", trigger_name(trigger, i)
        if first.setdefault(name, i) != i:
            yield Problem(
                f"{path}.name", "duplicate_trigger", f"triggers[{first[name]}] has the name '{name}' already."
            )
        found = (
            *validate_cron(trigger.value.expression, trigger.value.timezone),
            *_firing_problems(wiring, nodes, i),
        )
        for problem in found:
            yield Problem(join(f"{path}.value", problem.path), problem.code, problem.message)


def _firing_problems(wiring: Wiring, nodes: RegisteredNodes | None, position: int) -> tuple[Problem, ...]:
    """Why the runs of a trigger could not be started, if it is clear with which node they begin."""
    definition = wiring.definition
    roots = [wiring.shape.identifiers[number] for number in wiring.shape.roots]
    if len(roots) != 1:
        return ()
    value = definition.triggers[position].value
    root = definition.nodes[wiring.positions[roots[0]]]
    node = nodes.get(node_key(root)) if nodes is not None else None
    return run_problems(root, node, definition.store_config, inputs=value.inputs, store=value.store)
