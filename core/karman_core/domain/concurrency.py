"""How many runs of a graph go on at a time: the key by which they are counted together, and the slots they hold.

    concurrency:
      limit: 5
      key: ${{ initial.inputs.customer }}       so many for each customer; without it, of all runs of the graph
      when_full: queue                          or refuse

The key is known when a run begins, so it is one reference to an input of the run's first state, as in `tags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from karman_core.domain.definition import JSON, Concurrency, NodeInstance, WhenFull
from karman_core.domain.errors import Problem
from karman_core.domain.references import References
from karman_core.domain.run_keys import RunKey, key_problems, parse_key


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot that a run needs to go on.

    Attributes:
        scope: names the runs of a graph that share the limit; a hash, since keys may be long.
        limit: how many of them go on at a time, as the run's version of the graph says.
        key: for people, cut; None where the graph has no key, or the run no value for it.
        refuses: a run without a slot is not begun, instead of waiting.
    """

    scope: str
    limit: int
    key: str | None
    refuses: bool = False

    def as_json(self) -> list[JSON]:
        """As it is kept with the run; `slot_from_json` reads it."""
        return [self.scope, self.limit, self.key, self.refuses]

    def told(self, limit: int) -> str:
        """What a run waits for, or is refused for."""
        which = "of the graph" if self.key is None else f"with the concurrency key '{self.key}'"
        return f"a slot (of {limit:,} for runs {which})"


def slot_from_json(data: list[JSON]) -> Slot:
    """The reverse of `Slot.as_json`. Raises ValueError, TypeError."""
    scope, limit, key, refuses = data
    return Slot(str(scope), int(limit), None if key is None else str(key), bool(refuses))


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit, parsed."""

    declared: Concurrency
    key: RunKey

    def slot(self, root: NodeInstance, given: Mapping[str, JSON]) -> Slot:
        """The slot of a run that begins with these inputs."""
        counted = self.key.counted(root, given)
        refuses = self.declared.when_full is WhenFull.REFUSE
        return Slot(counted.scope, self.declared.limit, counted.key, refuses)


def parse_limit(concurrency: Concurrency | None) -> Limit | None:
    """Parse a declaration. Raises PlaceholderError when its key is not one reference to an input."""
    return None if concurrency is None else Limit(concurrency, parse_key(concurrency.key))


def concurrency_problems(references: References) -> Iterator[Problem]:
    """What is wrong with the concurrency key of a definition; codes as of `key_problems`."""
    concurrency = references.wiring.definition.concurrency
    if concurrency is not None:
        yield from key_problems(references, "concurrency.key", concurrency.key)
