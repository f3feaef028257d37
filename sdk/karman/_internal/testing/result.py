"""What a run came to, and assertions on it that say what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from karman._internal.suggestions import suggest
from karman._internal.testing.tree import draw
from karman.errors import InvalidInput
from karman_core.domain.definition import JSON
from karman_core.domain.outcome import SentSignal
from karman_core.engine.views import RunView, StateView


@dataclass(frozen=True)
class RunResult:
    """A run, as it was when nothing was left to do.

    Attributes:
        view: the run, as the engine tells it.
        all_states: its states, in the order of their branches.
        store: the run's store at the end.
        signals: what nodes sent, and then what the test did, in order.
        elapsed: how long it took by the run's clock, in seconds: waits and delays, not computing.
        counts: executions by identifier.
        identifiers: of the graph.
    """

    view: RunView
    all_states: tuple[StateView, ...] = field(repr=False)
    store: Mapping[str, JSON] = field(repr=False)
    signals: tuple[SentSignal, ...] = field(repr=False)
    elapsed: float
    counts: Mapping[str, int] = field(repr=False)
    identifiers: tuple[str, ...] = field(repr=False)

    @property
    def status(self) -> str:
        """Of the run: `SUCCEEDED`, `FAILED`, `TIMED_OUT`; or `WAITING`, `RUNNING` if it cannot go on by itself."""
        return self.view.status

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.view.run_id

    @property
    def outputs(self) -> Any:  # noqa: ANN401 - JSON
        """The run's result: the graph's outputs, or those of the last state of the first branch; None if it failed."""
        return self.view.result

    @property
    def error(self) -> str | None:
        """The first failure of a run that failed."""
        return self.view.error

    def states(self, identifier: str | None = None) -> tuple[StateView, ...]:
        """All states, or those of one node instance. Raises InvalidInput for one that the graph does not have."""
        if identifier is None:
            return self.all_states
        known = self._known(identifier)
        return tuple(state for state in self.all_states if state.identifier == known)

    def state(self, identifier: str) -> StateView:
        """The one state of a node instance. Raises AssertionError if there are none or several."""
        found = self.states(identifier)
        if len(found) != 1:
            raise AssertionError(f"'{identifier}' has {len(found)} states, not one.\n{self.tree()}")
        return found[0]

    def executions(self, identifier: str) -> int:
        """How often a node instance was executed: attempts, requeues, resumed waits, and those that crashed."""
        return self.counts.get(self._known(identifier), 0)

    def tree(self) -> str:
        """The run and its states as text."""
        return draw(self.view, self.all_states, self.elapsed)

    def assert_status(self, status: str) -> Self:
        """Raises AssertionError, with the tree of states, if the run has another status."""
        if self.status != status:
            raise AssertionError(f"The run is {self.status}, not {status}.\n{self.tree()}")
        return self

    def assert_succeeded(self) -> Self:
        """Raises AssertionError, with the tree of states, if the run has not succeeded."""
        return self.assert_status("SUCCEEDED")

    def assert_failed(self, match: str = "") -> Self:
        """Raises AssertionError if the run has not failed, or `match` is not part of its first error."""
        self.assert_status("FAILED")
        if match not in (self.error or ""):
            raise AssertionError(
                f"The run failed by {self.error!r}, which does not hold {match!r}.\n{self.tree()}"
            )
        return self

    def _known(self, identifier: str) -> str:
        (known,) = known_identifiers([identifier], self.identifiers)
        return known


def known_identifiers(identifiers: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The identifiers, if the graph has them all; raises InvalidInput, so that a misspelled one passes no test."""
    known = tuple(known)
    given = tuple(identifiers)
    for identifier in given:
        if identifier not in known:
            raise InvalidInput(
                f"The graph has no '{identifier}': {suggest(identifier, known, 'identifiers')}"
            )
    return given
