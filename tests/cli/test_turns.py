"""Requests take turns with everything else on the event loop."""

import asyncio

from karman_cli.turns import Turns


async def test_many_pass_in_their_order_and_few_in_each_round() -> None:
    turns, passed, seen = Turns(4), [], []

    async def request(number: int) -> None:
        await turns.wait()
        passed.append(number)

    tasks = [asyncio.create_task(request(number)) for number in range(100)]
    while len(passed) < 100:
        before = len(passed)
        await asyncio.sleep(0)
        seen.append(len(passed) - before)
    await asyncio.wait(tasks)

    assert passed == list(range(100))
    assert max(seen) <= 8  # those of a round, and where two rounds meet
    assert len(seen) >= 13


async def test_one_alone_does_not_wait() -> None:
    turns = Turns(1)
    for _ in range(3):
        waiting = turns.wait()
        try:
            waiting.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)


async def test_a_request_that_is_given_up_takes_no_turn() -> None:
    turns = Turns(1)
    first, gone, stays = (asyncio.create_task(turns.wait()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(stays, 60)

    assert first.done()
    assert gone.cancelled()
