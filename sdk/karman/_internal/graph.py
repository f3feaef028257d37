"""The builder of graphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from karman._internal.checking import check
from karman._internal.concurrency import Concurrency
from karman._internal.durations import Duration, to_seconds
from karman._internal.functions import NodeLike, node_class
from karman._internal.json_values import to_json
from karman._internal.node import Node, declaration_of
from karman._internal.placed import (
    PlacedNode,
    Placement,
    Unites,
    placed,
    placement_of,
    snake_case,
)
from karman._internal.rate_limit import RateLimit
from karman._internal.references import Reference, Target
from karman._internal.suggestions import suggest
from karman._internal.texts import format_of, to_yaml
from karman._internal.wiring import check_fields, input_value
from karman.errors import InvalidGraph
from karman_core.domain.definition import (
    JSON,
    NAME_PATTERN,
    RESERVED_IDENTIFIER,
    GraphDefinition,
    Overlap,
    RetryPolicy,
)
from karman_core.domain.parsing import Format, parse_definition, parse_text
from karman_core.domain.schemas import ANY

Uniting: TypeAlias = PlacedNode | Unites | str
OverlapName = Literal["allow", "skip"]

_NAME = re.compile(NAME_PATTERN)
_KINDS = {
    "retry": (RetryPolicy, "Retry.exponential(3)"),
    "concurrency": (Concurrency, "Concurrency(5)"),
    "rate_limit": (RateLimit, "RateLimit(100, per=60)"),
}


class Graph:
    """A graph, as it is being built.

        graph = Graph("digest", retry=Retry.exponential(5))
        split = graph.add(Split, "split")
        summarize = graph.add(Summarize, "summarize", text=split.outputs.page)
        join = graph.add(Join, "join", unites=split, summaries=summarize.outputs.summary)
        split >> summarize >> join

    The first node, which follows no other, takes its inputs from the trigger; what it is given here are defaults.

    Args:
        name: unique in the namespace.
        description: for people.
        retry: the policy for nodes that have none of their own; by default 3 exponential retries from 2 s on.
        timeout: of a whole run, as a timedelta or seconds; by default a year.
        fail_fast: a failed branch cancels its siblings instead of waiting for them.
        store_defaults: what the run's store holds from the start.
        store_required: keys that a trigger must give, or that have a default.
        secrets: names of the secrets that nodes may read; by default those that its nodes declare.
        outputs: the run's result by name, from references; may be set later, as `graph.outputs`. Empty: the outputs of
            the last state of the first branch.
        tags: that every run gets by name, to be found by: each one reference, or "${{ initial.inputs.field }}" for what
            the trigger gives; may be set later, as `graph.tags`.
        concurrency: how many runs go on at a time; by default any number.
        rate_limit: how many runs begin in a time; by default any number.

    Attributes:
        name: as given.
        outputs: as given; a dict to fill or replace until the graph is built.
        tags: likewise.

    Raises:
        InvalidGraph: for a name that cannot be one.
    """

    def __init__(  # noqa: PLR0913 - options, named at the call
        self,
        name: str,
        *,
        description: str = "",
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        fail_fast: bool = False,
        store_defaults: Mapping[str, Any] | None = None,
        store_required: Iterable[str] = (),
        secrets: Iterable[str] | None = None,
        outputs: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        concurrency: Concurrency | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.name = _name(name, "name")
        self.outputs: dict[str, Any] = dict(outputs or {})
        self.tags: dict[str, Any] = dict(tags or {})
        self._placements: dict[str, Placement] = {}
        self._secrets = None if secrets is None else tuple(secrets)
        self._triggers: list[dict[str, JSON]] = []
        self._options: dict[str, JSON] = {
            "description": description,
            "fail_fast": fail_fast,
            "store_config": {
                "default_values": to_json(dict(store_defaults or {}), "store_defaults"),
                "required_keys": list(store_required),
            },
        }
        _check_kinds(retry=retry, concurrency=concurrency, rate_limit=rate_limit)
        if retry is not None:
            self._options["retry_policy"] = retry.model_dump(mode="json")
        if concurrency is not None:
            self._options["concurrency"] = concurrency.as_json()
        if rate_limit is not None:
            self._options["rate_limit"] = rate_limit.as_json()
        if timeout is not None:
            self._options["timeout_seconds"] = to_seconds(timeout, f"The timeout of graph '{name}'")

    def __repr__(self) -> str:
        return f"<Graph '{self.name}' of {len(self._placements)} nodes>"

    def add(
        self,
        node: NodeLike | str,
        identifier: str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        next: PlacedNode | str | Sequence[PlacedNode | str] = (),  # noqa: A002 - what it is
        unites: Uniting | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        namespace: str | None = None,
        **fields: Any,
    ) -> PlacedNode:
        """Place a node in the graph.

        Args:
            node: a node class, a function made a node by `@node`, or the name of a node that others have registered.
            identifier: unique in the graph; by default the node's name in snake case.
            inputs: as `fields`, for fields that are called as one of the other arguments here.
            next: what follows, placed or by identifier; as `>>` does.
            unites: makes it the unite of the groups which that node opens.
            retry: the policy for this node, instead of the graph's.
            timeout: of one attempt, instead of the node's own; a timedelta or seconds.
            namespace: where the node is registered, if not in the graph's own namespace.
            fields: the inputs: JSON values, references to outputs and the store, and texts with references in them.

        Raises:
            InvalidGraph: for an identifier that is taken or cannot be one, and inputs that the node does not have.
            InvalidNode: if the node is none.
        """
        cls = None if isinstance(node, str) else node_class(node)
        node_name = node if isinstance(node, str) else declaration_of(cls).name
        identifier = _name(snake_case(node_name) if identifier is None else identifier, "identifier")
        given = {**(inputs or {}), **fields}
        check_fields(identifier, cls, given)
        placement = Placement(
            owner=self,
            identifier=identifier,
            node_name=node_name,
            cls=cls,
            namespace=namespace,
            inputs={
                key: input_value(value, self, f"{identifier}.inputs.{key}") for key, value in given.items()
            },
            following=[self._own(each) for each in _several(next)],
            unites=None if unites is None else self._unites(unites),
            retry=retry,
            timeout_seconds=None
            if timeout is None
            else to_seconds(timeout, f"The timeout of '{identifier}'"),
        )
        return self._put(placement)

    def loop(self, source: PlacedNode, target: PlacedNode | str, *, max_rounds: int) -> None:
        """Allow `source` to go back to `target`, an ancestor or itself, by returning `Next(target's identifier, ...)`.

        Args:
            source: the node that may choose to go back.
            target: where it goes on.
            max_rounds: how often at most; then the run fails.

        Raises:
            InvalidGraph: for nodes of another graph.
        """
        self._own(source)
        source.__placement__.loops.append({"to": self._own(target), "max_rounds": max_rounds})

    def cron(
        self,
        expression: str,
        *,
        timezone: str = "UTC",
        inputs: Mapping[str, Any] | None = None,
        store: Mapping[str, Any] | None = None,
        name: str | None = None,
        enabled: bool = True,
        overlap: Overlap | OverlapName = Overlap.ALLOW,
        timeout: Duration | None = None,
    ) -> None:
        """Trigger the graph by a schedule.

        Args:
            expression: five fields, for example `*/5 * * * *`.
            timezone: IANA name; the fields are read in its local time.
            inputs: of the first node, for each run.
            store: initial values of the store, for each run.
            name: unique in the graph; by default `cron-` and the position among the triggers.
            enabled: False keeps the trigger without firing it.
            overlap: what a firing does while the run of the previous one goes on: "allow" or "skip".
            timeout: of each run; by default the graph's.

        Raises:
            InvalidInput: if JSON cannot hold the inputs or values, or the timeout is no duration.
        """
        limit = None if timeout is None else to_seconds(timeout, "The timeout of a cron trigger")
        value = {
            "expression": expression,
            "timezone": timezone,
            "enabled": enabled,
            "overlap": str(overlap),
            "inputs": to_json(dict(inputs or {}), "The inputs of a cron trigger"),
            "store": to_json(dict(store or {}), "The store values of a cron trigger"),
            "timeout_seconds": limit,
        }
        self._triggers.append({"type": "CRON", "name": name, "value": value})

    @property
    def store(self) -> Reference:
        """The run's store, to be referred to in inputs: `graph.store.key`."""
        return Reference(Target(self, RESERVED_IDENTIFIER, ANY))

    @property
    def nodes(self) -> tuple[type[Node], ...]:
        """The node classes it uses, each once; nodes that were placed by name are not among them."""
        classes = (placement.cls for placement in self._placements.values())
        return tuple(dict.fromkeys(cls for cls in classes if cls is not None))

    def __getitem__(self, identifier: str) -> PlacedNode:
        """The node of this identifier. Raises InvalidGraph."""
        placement = self._placements.get(identifier)
        if placement is None:
            raise InvalidGraph(
                f"Graph '{self.name}' has no '{identifier}': {suggest(identifier, self._placements, 'identifiers')}"
            )
        return PlacedNode(placement)

    def definition(self) -> GraphDefinition:
        """The definition as it stands, checked for its shape only.

        Raises:
            InvalidGraph: with a problem for everything that has not the shape of a definition.
        """
        outputs = {key: input_value(value, self, f"outputs.{key}") for key, value in self.outputs.items()}
        tags = {key: input_value(value, self, f"tags.{key}") for key, value in self.tags.items()}
        secrets = self._declared_secrets() if self._secrets is None else self._secrets
        return parse_definition(
            {
                "name": self.name,
                **self._options,
                "nodes": [placement.instance() for placement in self._placements.values()],
                "secrets": list(secrets),
                "triggers": self._triggers,
                "outputs": outputs,
                "tags": tags,
            }
        )

    def build(self) -> GraphDefinition:
        """The definition, validated against the nodes that are used.

        Raises:
            InvalidGraph: with every problem that there is.
        """
        definition = self.definition()
        check(definition, self._placements.values())
        return definition

    def to_dict(self) -> dict[str, JSON]:
        """The definition as JSON data, without what is left at its default. Raises InvalidGraph as `build` does."""
        dumped: dict[str, JSON] = self.build().model_dump(mode="json", exclude_defaults=True)
        return dumped

    def to_yaml(self) -> str:
        """The definition as YAML, which `load_graph` reads. Raises InvalidGraph as `build` does."""
        return to_yaml(self.to_dict())

    @classmethod
    def load(cls, path: str | Path, nodes: Iterable[NodeLike] | None = None) -> Self:
        """The graph in a YAML or JSON file, to be built, tested or changed.

        Args:
            path: of the file; `.json` is read as JSON, anything else as YAML.
            nodes: all nodes of its own namespace that it names; None if others have registered them, so that `build`
                does not check how they fit together.

        Raises:
            InvalidGraph: if the text is no definition, with every problem that there is.
            OSError: if the file cannot be read.
        """
        file = Path(path)
        return cls.from_definition(parse_text(file.read_text(encoding="utf-8"), format_of(file)), nodes)

    @classmethod
    def from_definition(cls, definition: GraphDefinition, nodes: Iterable[NodeLike] | None = None) -> Self:
        """The graph of a definition; for `nodes` see `load`. Raises InvalidGraph if identifiers repeat."""
        graph = cls(
            definition.name,
            description=definition.description,
            retry=definition.retry_policy,
            timeout=definition.timeout_seconds,
            fail_fast=definition.fail_fast,
            store_defaults=definition.store_config.default_values,
            store_required=definition.store_config.required_keys,
            secrets=definition.secrets,
            outputs=definition.outputs,
            tags=definition.tags,
            concurrency=Concurrency.of(definition.concurrency),
            rate_limit=RateLimit.of(definition.rate_limit),
        )
        classes = {declaration_of(each).name: each for each in map(node_class, nodes or ())}
        for instance in definition.nodes:
            elsewhere = nodes is None or instance.namespace is not None
            known = classes.get(instance.node_name)
            graph._put(placement_of(instance, graph, known, elsewhere=elsewhere))
        for trigger in definition.triggers:
            value = dict(trigger.value)
            timeout = value.pop("timeout_seconds")
            graph.cron(**value, name=trigger.name, timeout=timeout)
        return graph

    def _put(self, placement: Placement) -> PlacedNode:
        if placement.identifier in self._placements:
            raise InvalidGraph(
                f"Graph '{self.name}' has a node '{placement.identifier}' already; give this one another identifier: "
                f"graph.add({placement.node_name}, 'another')."
            )
        self._placements[placement.identifier] = placement
        return PlacedNode(placement)

    def _own(self, node: PlacedNode | str) -> str:
        """The identifier of a node of this graph; one that was given as text may be placed later."""
        if isinstance(node, str):
            return node
        (own,) = placed(node)
        if own.__placement__.owner is not self:
            raise InvalidGraph(f"'{own.identifier}' is in another graph than '{self.name}'.")
        return own.identifier

    def _unites(self, unites: Uniting) -> dict[str, JSON]:
        given = unites if isinstance(unites, Unites) else Unites(unites)
        return {"identifier": self._own(given.node), "strategy": str(given.strategy)}

    def _declared_secrets(self) -> tuple[str, ...]:
        names = (name for cls in self.nodes for name in declaration_of(cls).secret_names)
        return tuple(dict.fromkeys(names))


def load_graph(
    text: str,
    nodes: Iterable[NodeLike] | None = None,
    *,
    format: Format = "yaml",  # noqa: A002 - what it is
) -> Graph:
    """The graph in a YAML or JSON text; see `Graph.load`.

    Raises:
        InvalidGraph: if the text is no definition, with every problem that there is.
    """
    return Graph.from_definition(parse_text(text, format), nodes)


def _name(name: object, kind: str) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name) and name != RESERVED_IDENTIFIER:
        return name
    raise InvalidGraph(
        f"{name!r:.150} cannot be the {kind} of a {'graph' if kind == 'name' else 'node'}: it begins with a letter or "
        f"'_', goes on with at most 127 letters, digits, '_' and '-', and is not '{RESERVED_IDENTIFIER}'."
    )


def _check_kinds(**given: object) -> None:
    for name, value in given.items():
        kind, example = _KINDS[name]
        if not (value is None or isinstance(value, kind)):
            raise InvalidGraph(f"{name} is a {type(value).__name__}; give for example {name}={example}.")


def _several(nodes: PlacedNode | str | Sequence[PlacedNode | str]) -> Sequence[PlacedNode | str]:
    return (nodes,) if isinstance(nodes, PlacedNode | str) else nodes
