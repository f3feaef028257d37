"""The key of a limit: with which other runs of its graph a run is counted, one by one or all together.

It has to be known when a run begins, so it is one reference to an input of the run's first state, as in `tags`; without
one, all runs of the graph are counted together. Runs whose key is not there, or null, are counted with each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from karman_core.domain.definition import JSON, NodeInstance
from karman_core.domain.errors import Problem
from karman_core.domain.placeholders import PlaceholderError, as_text
from karman_core.domain.references import References
from karman_core.domain.tags import InputReference, cut, input_fault, input_value, parse_source

_HASH_CHARACTERS = 32
_HOW_TO = (
    "The key has to be known when a run begins: write one reference to an input of its first node, "
    "'${{ initial.inputs.field }}', or leave it out to count all runs of the graph."
)


@dataclass(frozen=True, slots=True)
class Counted:
    """With which other runs a run is counted.

    Attributes:
        scope: names the runs of a graph that are counted together; a hash, since keys may be long.
        key: for people, cut; None where the limit has no key, or the run no value for it.
    """

    scope: str
    key: str | None


@dataclass(frozen=True, slots=True)
class RunKey:
    """The key of a limit, parsed; `reference` is None where all runs of the graph are counted together."""

    reference: InputReference | None

    def counted(self, root: NodeInstance, given: Mapping[str, JSON]) -> Counted:
        """With which others a run is counted that begins with these inputs."""
        value = None if self.reference is None else input_value(self.reference, root, given)
        text = None if value is None else as_text(value)
        scope = hashlib.sha256(json.dumps(text).encode()).hexdigest()[:_HASH_CHARACTERS]
        return Counted(scope, None if text is None else cut(text))


def parse_key(declared: str | None) -> RunKey:
    """Parse a key. Raises PlaceholderError when it is not one reference to an input."""
    source = None if declared is None else parse_source(declared)
    if source is not None and not isinstance(source, InputReference):
        raise PlaceholderError(_HOW_TO)
    return RunKey(source)


def key_problems(references: References, path: str, declared: str | None) -> Iterator[Problem]:
    """What is wrong with the key of a limit that stands at `path`.

    Codes: `invalid_placeholder`, `unknown_input`, as of tags.
    """
    try:
        key = parse_key(declared)
    except PlaceholderError as error:
        reason = error.problems[0].message if error.problems else _HOW_TO
        yield Problem(path, error.code, reason)
        return
    if key.reference is not None:
        fault = input_fault(key.reference, references.wiring, references.nodes)
        if fault is not None:
            yield Problem(path, *fault)
