"""How many runs of a graph begin in a time, over all or for each value of a key.

    rate_limit:
      starts: 100
      per_seconds: 60                           at most 100 begin in any 60 seconds
      key: ${{ initial.inputs.customer }}       so many for each customer; without it, of all runs of the graph
      when_over: queue                          or refuse

The key is known when a run begins, so it is one reference to an input of the run's first state, as in `tags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from karman_core.domain.definition import JSON, NodeInstance, RateLimit, WhenOver
from karman_core.domain.errors import Problem
from karman_core.domain.references import References
from karman_core.domain.run_keys import Counted, RunKey, key_problems, parse_key
from karman_core.domain.windows import Window


@dataclass(frozen=True, slots=True)
class StartLimit:
    """A rate limit, parsed."""

    declared: RateLimit
    key: RunKey

    @property
    def window(self) -> Window:
        """How many begin in which time."""
        return Window(self.declared.starts, round(self.declared.per_seconds * 1000))

    @property
    def refuses(self) -> bool:
        """Whether a run that is too much is not begun, instead of waiting."""
        return self.declared.when_over is WhenOver.REFUSE

    def counted(self, root: NodeInstance, given: Mapping[str, JSON]) -> Counted:
        """With which others a run is counted that begins with these inputs."""
        return self.key.counted(root, given)

    def told(self, counted: Counted) -> str:
        """The limit in words."""
        which = "" if counted.key is None else f" with the rate limit key '{counted.key}'"
        return f"{self.declared.starts:,} runs{which} in {self.declared.per_seconds:g} seconds"


def parse_rate_limit(declared: RateLimit | None) -> StartLimit | None:
    """Parse a declaration. Raises PlaceholderError when its key is not one reference to an input."""
    return None if declared is None else StartLimit(declared, parse_key(declared.key))


def rate_limit_problems(references: References) -> Iterator[Problem]:
    """What is wrong with the key of a definition's rate limit; codes as of `key_problems`."""
    declared = references.wiring.definition.rate_limit
    if declared is not None:
        yield from key_problems(references, "rate_limit.key", declared.key)
