"""Signals: the first asks to end, the second ends."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from karman_runtime.shutdown import on_signals

PROGRAM = """
import asyncio, os, sys, time
from karman_runtime.shutdown import on_signals

async def main():
    asked = asyncio.Event()
    def ask():
        print("asked", flush=True)
        asked.set()
    def at_once():
        if "fail" in sys.argv:
            raise RuntimeError("reentrant call")
        os.write(1, b"at once\\n")  # not print: the signal may come while the other print goes on
    with on_signals(ask, at_once):
        print("ready", flush=True)
        await asked.wait()
        if "block" in sys.argv:
            time.sleep(60)
        if "linger" in sys.argv:
            await asyncio.sleep(60)
    print("ended", flush=True)

asyncio.run(main())
"""


@contextmanager
def start(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
            process.wait(60)
        finally:
            process.kill()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(number: signal.Signals) -> None:
    with start() as process:
        assert read(process) == "ready"
        process.send_signal(number)

        assert [read(process), read(process)] == ["asked", "ended"]
    assert process.returncode == 0


@pytest.mark.parametrize("manner", ["linger", "block"])
def test_the_second_signal_ends_the_process_whatever_it_does(manner: str) -> None:
    with start(manner) as process:
        assert read(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert read(process) == "asked"
        process.send_signal(signal.SIGINT)

        assert read(process) == "at once"
    assert process.returncode == 130


def test_the_second_signal_ends_the_process_whatever_the_last_words_do() -> None:
    with start("linger", "fail") as process:
        assert read(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert read(process) == "asked"
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 130


async def test_the_handlers_before_it_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with on_signals(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_it_does_nothing() -> None:
    entered = []

    def enter() -> None:
        with on_signals(lambda: None):
            entered.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert entered == [before]
