"""A fork of 10,000 branches runs in little memory."""

import resource

import pytest

from tests.cli.command_line import SUMS, finish, start, write

MAX_KILOBYTES = 250_000


@pytest.mark.slow
def test_ten_thousand_branches() -> None:
    write("sums.py", SUMS)
    output = finish(start("run", "sums.py", "-i", "count=10000", "--json"))
    # Of all children of this process so far, the one that took most.
    taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    assert output.code == 0
    assert output.document["result"] == {"result": 99_990_000}
    assert taken < MAX_KILOBYTES
