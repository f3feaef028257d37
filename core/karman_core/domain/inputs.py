"""Validation of inputs: whether what the instances of a graph are given is what their nodes take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from karman_core.domain import placeholders, schemas
from karman_core.domain.compatibility import compatible
from karman_core.domain.definition import JSON, NodeInstance, RegisteredNode
from karman_core.domain.errors import Problem
from karman_core.domain.paths import Path, child, join, place
from karman_core.domain.placeholders import Compiled, PlaceholderError, Template, Text, Whole
from karman_core.domain.references import References, Source
from karman_core.domain.registered import NodeKey, node_key
from karman_core.domain.schema_values import check_value
from karman_core.domain.schemas import Fields, Schema
from karman_core.domain.wiring import quote

MAX_COMPARISONS = 20_000
"""Of parts of values with placeholders in one graph, a second or two; what is beyond is taken to fit."""

_TEXT: Schema = {"type": "string"}


def input_problems(references: References) -> Iterator[Problem]:
    """What is wrong with the inputs of the node instances and with the outputs of the graph."""
    wiring = references.wiring
    roots = {wiring.shape.identifiers[number] for number in wiring.shape.roots}
    check = _Check(references)
    for i, instance in enumerate(wiring.definition.nodes):
        yield from check.instance(instance, f"nodes[{i}].inputs", root=instance.identifier in roots)
    for name, value in wiring.definition.outputs.items():
        yield from check.template(value, None, child("outputs", name))[1]


def literal_problems(schema: Schema, values: Mapping[str, JSON]) -> Iterator[Problem]:
    """What keeps some of the fields of an object from fitting its schema; paths begin with the field.

    What the schema says of the object as a whole (required and unknown fields, combinations) is left out: there may be
    more fields than these.
    """
    required = schemas.fields(schema).required
    for problem in check_value(schema, dict(values)) if values else ():
        of_whole = not problem.path or (problem.code == "missing_field" and problem.path in required)
        if not of_whole or problem.code == "invalid_schema":
            yield problem


def unknown_inputs(known: Fields, names: Mapping[str, JSON], path: str, node_name: str) -> Iterator[Problem]:
    """A problem for each name that is none of a node's inputs."""
    for name in names:
        if known.closed and name not in known.schemas:
            takes = f"takes {quote(known.schemas)}" if known.schemas else "takes no inputs"
            message = f"'{node_name}' {takes}; '{name}' is none of its inputs."
            yield Problem(child(path, name), "unknown_input", message)


def missing_inputs(known: Fields, names: Mapping[str, JSON], path: str, node_name: str) -> Iterator[Problem]:
    """A problem for each input that a node requires and that is not among the names."""
    for name in known.required:
        if name not in names:
            yield Problem(child(path, name), "missing_input", f"'{node_name}' requires the input '{name}'.")


class _Check:
    """The inputs of one definition. What one output and one input have been compared for is kept."""

    def __init__(self, references: References) -> None:
        self.references = references
        self._known: dict[tuple[Source, NodeKey, Path], str | None] = {}
        self._left = MAX_COMPARISONS

    def template(self, value: JSON, reader: str | None, path: str) -> tuple[Template | None, list[Problem]]:
        """A parsed value and what is wrong with its placeholders; no template if something is."""
        try:
            template = placeholders.parse(value)
        except PlaceholderError as error:
            return None, [
                Problem(join(path, found.path), found.code, found.message) for found in error.problems
            ]
        problems = []
        for inside, reference in template.located:
            fault = self.references.fault(reader, reference)
            if fault is not None:
                problems.append(Problem(join(path, place(inside)), *fault))
        return (None if problems else template), problems

    def instance(self, instance: NodeInstance, path: str, *, root: bool) -> Iterator[Problem]:
        """The problems of one instance's inputs. What the root is not given here comes from the trigger."""
        node = (self.references.nodes or {}).get(node_key(instance))
        literals: dict[str, JSON] = {}
        for name, value in instance.inputs.items():
            template, problems = self.template(value, instance.identifier, child(path, name))
            yield from problems
            if template is None or node is None:
                continue
            if not template.located:
                literals[name] = value
            elif not _as_text(node, name, template):
                for where, reason in self._clashes(instance, node, template.value, (name,)):
                    message = f"This does not fit the node: {reason}."
                    yield Problem(join(path, place(where)), "incompatible_input", message)
        if node is not None:
            yield from _object_problems(instance, node, literals, path, root=root)

    def _clashes(
        self, instance: NodeInstance, node: RegisteredNode, value: Compiled, path: Path
    ) -> Iterator[tuple[Path, str]]:
        """Where and why a value that holds placeholders cannot be what its node takes, from the outside in."""
        reason = self._reason(instance, node, value, path)
        if reason is not None:
            yield path, reason
        elif isinstance(value, list):
            for i, item in enumerate(value):
                yield from self._clashes(instance, node, item, (*path, i))
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._clashes(instance, node, item, (*path, key))

    def _reason(
        self, instance: NodeInstance, node: RegisteredNode, value: Compiled, path: Path
    ) -> str | None:
        if not isinstance(value, Whole):
            return self._mismatch(_shape(value), node, path)
        source = self.references.source(instance.identifier, value.reference)
        if source is None:
            return None
        key = (source, node_key(instance), path)
        if key not in self._known:
            self._known[key] = self._mismatch(self.references.schema(source), node, path)
        return self._known[key]

    def _mismatch(self, given: Schema, node: RegisteredNode, path: Path) -> str | None:
        self._left -= 1
        if self._left < 0:
            return None
        wanted = schemas.field_schema(node.inputs_schema, path)
        # A field that the node does not know at all is reported as an unknown input.
        return None if wanted is None else compatible(given, wanted)


def _as_text(node: RegisteredNode, name: str, template: Template) -> bool:
    """Whether the field takes whatever comes, as JSON text if need be (see `schema_values.fit`)."""
    field_schema = schemas.field_schema(node.inputs_schema, (name,))
    return (
        isinstance(template.value, Whole) and field_schema is not None and schemas.accepts_text(field_schema)
    )


def _shape(value: Compiled) -> Schema:
    """The schema of a part of a template, not a placeholder, as far as it is known without what is inside."""
    match value:
        case Text():
            return _TEXT
        case list():
            return {"type": "array", "minItems": len(value)}
        case dict():
            return {"type": "object", "properties": dict.fromkeys(value, True), "required": list(value)}
        case _:
            return {"const": value}


def _object_problems(
    instance: NodeInstance, node: RegisteredNode, literals: Mapping[str, JSON], path: str, *, root: bool
) -> Iterator[Problem]:
    known = schemas.fields(node.inputs_schema)
    yield from unknown_inputs(known, instance.inputs, path, node.name)
    if not root:
        yield from missing_inputs(known, instance.inputs, path, node.name)
    for problem in literal_problems(node.inputs_schema, literals):
        yield Problem(join(path, problem.path), problem.code, problem.message)
