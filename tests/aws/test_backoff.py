"""What a service leaves is sent again, later each time, and given up when nothing moves any more."""

import asyncio
from collections.abc import Sequence

import pytest

from karman_core.backends.aws.backoff import Backoff, chunks, each
from karman_core.domain.errors import Throttled


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Entropy:
    def uniform(self) -> float:
        return 0.5

    def token(self) -> str:
        return "x"


def give_up(left: int) -> Exception:
    return Throttled(f"{left} left")


async def test_what_is_left_is_sent_again() -> None:
    clock, sent = Clock(), []

    async def send(batch: Sequence[int]) -> Sequence[int]:
        sent.append(list(batch))
        return batch[2:]

    await Backoff(clock, Entropy()).exhaust([1, 2, 3, 4, 5], send, give_up)

    assert sent == [[1, 2, 3, 4, 5], [3, 4, 5], [5]]
    assert clock.slept == [0.025, 0.025]


async def test_pauses_grow_until_it_gives_up() -> None:
    clock = Clock()

    async def send(batch: Sequence[int]) -> Sequence[int]:
        return batch

    with pytest.raises(Throttled, match="3 left"):
        await Backoff(clock, Entropy()).exhaust([1, 2, 3], send, give_up)
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 1.0
    assert len(clock.slept) == 7


async def test_progress_begins_anew() -> None:
    clock = Clock()
    answers = iter([[1, 2]] * 7 + [[2]] * 7 + [[]])

    async def send(batch: Sequence[int]) -> Sequence[int]:
        return next(answers)

    await Backoff(clock, Entropy()).exhaust([1, 2], send, give_up)

    assert len(clock.slept) == 14


async def test_nothing_to_do_is_no_call() -> None:
    async def send(batch: Sequence[int]) -> Sequence[int]:
        raise AssertionError

    await Backoff(Clock(), Entropy()).exhaust([], send, give_up)


def test_chunks() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []


async def test_a_few_at_a_time_in_order() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return number * 2

    assert await each(work, range(20)) == [number * 2 for number in range(20)]
    assert most == 8


async def test_the_first_error_is_raised_when_all_are_done() -> None:
    done = []

    async def work(number: int) -> None:
        if number == 1:
            raise KeyError(number)
        await asyncio.sleep(0.001)
        done.append(number)

    with pytest.raises(KeyError):
        await each(work, range(4))
    assert sorted(done) == [0, 2, 3]
