"""Where a state is: the path of its branch and its number in the branch. Ids come from these, never from chance.

A branch is named by the forks above it: `((3, 17), (5, 2))` is branch 2 of the group that state number 5 opened in
branch 17 of the group that state number 3 of the first branch opened. Numbers count the states of a branch from 0, so
that a loop's second round has other ids than its first. Deciding again, after a crash, therefore gives the same ids.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Branch: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs (number of the forking state, index of the branch in its group), outermost first. () is the first branch."""

ROOT: Branch = ()

_PAIR = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_STATE_ID = re.compile(r"(.+)-([0-9._]*)-(0|[1-9][0-9]*)", re.DOTALL)


def branch_text(branch: Branch) -> str:
    """`3.17/5.2`; empty for the first branch."""
    return "/".join(f"{number}.{index}" for number, index in branch)


def parse_branch(text: str) -> Branch:
    """The reverse of `branch_text`. Raises ValueError for any other text."""
    if not text:
        return ROOT
    pairs = []
    for part in text.split("/"):
        pair = _PAIR.fullmatch(part)
        if pair is None:
            message = f"not a branch: {text!r}"
            raise ValueError(message)
        pairs.append((int(pair[1]), int(pair[2])))
    return tuple(pairs)


def state_id(run_id: str, branch: Branch, number: int) -> str:
    """The id of a state: opaque to users, safe in a URL, and the same however often the state is reached."""
    return f"{run_id}-{branch_text(branch).replace('/', '_')}-{number}"


def parse_state_id(text: str) -> tuple[str, Branch, int]:
    """Run id, branch and number of a state id. Raises ValueError for anything else."""
    found = _STATE_ID.fullmatch(text)
    if found is None:
        message = f"not a state id: {text!r}"
        raise ValueError(message)
    run_id, path, number = found.groups()
    return run_id, parse_branch(path.replace("_", "/")), int(number)
