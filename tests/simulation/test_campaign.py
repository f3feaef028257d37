"""The report: what was never reached is a failure, once there were seeds enough to reach it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation import __main__ as command
from tests.simulation.campaign import LEVERS, PORT_CALLS, Covered, cover
from tests.simulation.mutations import MUTATIONS


def complete() -> Covered:
    """As if everything had been reached."""
    return Covered(
        cases=command.ENOUGH,
        faults=Counter({("throttled", name): 1 for name in PORT_CALLS}),
        calls=Counter(dict.fromkeys(PORT_CALLS, 1)),
        requests=Counter({(name, "done"): 1 for name in LEVERS}),
    )


def test_every_port_call_has_to_be_hit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failed(covered: Covered, count: int = command.ENOUGH) -> bool:
        monkeypatch.setattr(command, "campaign", lambda _first, _count: iter([covered]))
        return command.seeds(0, count)

    assert not failed(complete())
    for name in PORT_CALLS:
        unmade, unhit = complete(), complete()
        del unmade.calls[name], unhit.faults["throttled", name]
        assert failed(unmade)
        assert f"port calls never made: {name}\n" in capsys.readouterr().out
        assert failed(unhit)
        assert f"port calls made but never hit: {name}\n" in capsys.readouterr().out
        assert not failed(unhit, count=300)
    for name in LEVERS:
        undone = complete()
        del undone.requests[name, "done"]
        assert failed(undone)


def test_what_was_covered_adds_up() -> None:
    first, second, both = cover(range(2)), cover(range(2, 4)), cover(range(4))
    first.add(second)
    assert first == both
    assert first.report() == both.report()


def test_every_mutation_finds_its_words() -> None:
    """A line that was rewritten wants its mutation rewritten; test_mutations looks whether each is noticed."""
    for mutation in MUTATIONS:
        with mutation.applied():
            pass
