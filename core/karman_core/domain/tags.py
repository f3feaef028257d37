"""Tags that a graph declares: texts by which its runs are found, taken from what they begin with and what they give.

    tags:
      customer: ${{ initial.inputs.customer }}       known when the run begins
      verdict: ${{ review.outputs.verdict }}         known when it has succeeded, like the graph's outputs
      region: ${{ store.region }}                    (same)

The value of a tag is one reference. `initial.inputs` are those of the run's first state: the trigger's, or what the
definition gives it, unless that holds placeholders. What is not there, or null, gives no tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from karman_core.domain import schemas
from karman_core.domain.definition import JSON, TAG_PATTERN, NodeInstance
from karman_core.domain.errors import Problem
from karman_core.domain.paths import Path, child, spell
from karman_core.domain.placeholders import (
    OutputReference,
    PlaceholderError,
    StoreReference,
    Template,
    Whole,
    as_text,
    follow,
    parse,
    path_parts,
)
from karman_core.domain.references import References
from karman_core.domain.registered import RegisteredNodes, node_key
from karman_core.domain.wiring import Wiring, quote

MAX_DECLARED = 20
"""Each costs one write unit a run."""

MAX_TAGS = 50
"""That a trigger may give."""

MAX_CHARACTERS = 256
"""Of a tag's value: a trigger's longer one is refused, a declared one is cut."""

_INITIAL = ("initial", "inputs")
_NAME = re.compile(TAG_PATTERN)
_WHOLE = re.compile(r"\s*\$\{\{(?P<body>[^{}]*)\}\}\s*")
_HOW_TO = "Write one reference: '${{ initial.inputs.field }}', '${{ identifier.outputs.field }}' or '${{ store.key }}'."


@dataclass(frozen=True, slots=True)
class InputReference:
    """A value in the inputs of a run's first state; `path[0]` is the name of the field."""

    path: Path

    def __str__(self) -> str:
        return f"${{{{ {'.'.join(_INITIAL)}.{spell(self.path)} }}}}"


Source: TypeAlias = InputReference | OutputReference | StoreReference


@dataclass(frozen=True, slots=True)
class DeclaredTags:
    """The declared tags of a graph, parsed: those known when a run begins, and those known when it has succeeded."""

    inputs: Mapping[str, InputReference] = field(default_factory=dict)
    outputs: Mapping[str, Template] = field(default_factory=dict)

    def at_start(self, root: NodeInstance, given: Mapping[str, JSON]) -> dict[str, str]:
        """The tags of a run that begins with these inputs."""
        found = {}
        for name, reference in self.inputs.items():
            text = tag_text(input_value(reference, root, given))
            if text is not None:
                found[name] = text
        return found


def parse_tags(tags: Mapping[str, str]) -> DeclaredTags:
    """Parse declarations. Raises PlaceholderError for the first that is not one reference."""
    sources = {name: parse_source(text) for name, text in tags.items()}
    return DeclaredTags(
        {name: source for name, source in sources.items() if isinstance(source, InputReference)},
        {
            name: parse(tags[name].strip())
            for name, source in sources.items()
            if not isinstance(source, InputReference)
        },
    )


def parse_source(text: str) -> Source:
    """Where a tag's value comes from. Raises PlaceholderError."""
    whole = _WHOLE.fullmatch(text)
    match path_parts(whole["body"]) if whole else []:
        case [root, kind, str(name), *path] if (root, kind) == _INITIAL:
            return InputReference((name, *path))
    value = parse(text.strip()).value
    if not isinstance(value, Whole):
        raise PlaceholderError(_HOW_TO)
    return value.reference


def tag_text(value: JSON) -> str | None:
    """The text that a value is as a tag, cut to the limit; None for null."""
    return None if value is None else cut(as_text(value))


def cut(text: str) -> str:
    """As much of a text as a tag holds."""
    return text[:MAX_CHARACTERS]


def tag_problems(references: References) -> Iterator[Problem]:
    """What is wrong with the tags that a definition declares; with no nodes known, all inputs are taken to exist.

    Codes: `too_many_tags`, `invalid_placeholder`, `unknown_input`, and those of references in the graph's outputs.
    """
    wiring = references.wiring
    tags = wiring.definition.tags
    if len(tags) > MAX_DECLARED:
        message = f"The graph declares {len(tags):,} tags; {MAX_DECLARED} are allowed."
        yield Problem("tags", "too_many_tags", message)
    for name, text in tags.items():
        path = child("tags", name)
        try:
            source = parse_source(text)
        except PlaceholderError as error:
            reason = error.problems[0].message if error.problems else error.message
            yield Problem(path, error.code, reason)
            continue
        if isinstance(source, InputReference):
            fault = input_fault(source, wiring, references.nodes)
        else:
            fault = references.fault(None, source)
        if fault is not None:
            yield Problem(path, *fault)


def given_tag_problems(tags: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the tags of a trigger; codes `invalid_tag`, `too_many_tags`."""
    problems = []
    for name, value in tags.items():
        path = child("tags", name)
        if not _NAME.fullmatch(name):
            message = "The name of a tag has 1 to 256 characters, no ':' and no control character among them."
            problems.append(Problem(path, "invalid_tag", message))
        if len(value) > MAX_CHARACTERS:
            message = f"The value of a tag has at most {MAX_CHARACTERS} characters."
            problems.append(Problem(path, "invalid_tag", message))
    if len(tags) > MAX_TAGS:
        problems.append(Problem("tags", "too_many_tags", f"A trigger gives at most {MAX_TAGS} tags."))
    return problems


def input_value(reference: InputReference, root: NodeInstance, given: Mapping[str, JSON]) -> JSON:
    """The value that a run begins with, None where there is none.

    Args:
        root: the instance of the first state, whose inputs count unless they hold placeholders.
        given: the trigger's inputs.
    """
    name, inside = str(reference.path[0]), reference.path[1:]
    try:
        if name in given:
            return follow(given[name], inside)
        literal = root.inputs.get(name)
        return None if parse(literal).references else follow(literal, inside)
    except LookupError:
        return None


def input_fault(
    source: InputReference, wiring: Wiring, nodes: RegisteredNodes | None
) -> tuple[str, str] | None:
    """Code and message of what is wrong with a reference to an input; None also where the first node is not known."""
    roots = [wiring.shape.identifiers[number] for number in wiring.shape.roots]
    if len(roots) != 1 or nodes is None:
        return None
    node = nodes.get(node_key(wiring.definition.nodes[wiring.positions[roots[0]]]))
    if node is None or schemas.field_schema(node.inputs_schema, source.path) is not None:
        return None
    known = schemas.fields(node.inputs_schema).schemas
    if source.path[0] in known:
        return "unknown_input", f"{source}: no value of '{source.path[0]}' has anything at this path."
    listed = f"has the inputs {quote(known)}" if known else "has no inputs"
    return "unknown_input", f"{source}: '{node.name}', which the run begins with, {listed}."
