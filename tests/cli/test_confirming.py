"""Questions before something is changed."""

import asyncio
import signal
import sys

import pytest
import typer

from karman_cli.confirming import confirmed


@pytest.mark.parametrize("within_a_loop", [True, False])
def test_ctrl_c_at_a_question_ends_it(monkeypatch: pytest.MonkeyPatch, *, within_a_loop: bool) -> None:
    """Also where asyncio has a handler of its own, which lets whoever reads a line go on reading."""
    answered = []

    def read_a_line(_question: str, *, err: bool) -> bool:
        signal.raise_signal(signal.SIGINT)
        answered.append(err)
        return True

    async def ask() -> bool:
        return confirmed("Purge it?", yes=False, as_json=False)

    monkeypatch.setattr(typer, "confirm", read_a_line)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(ask()) if within_a_loop else confirmed("Purge it?", yes=False, as_json=False)
    assert (answered, signal.getsignal(signal.SIGINT)) == ([], before)
