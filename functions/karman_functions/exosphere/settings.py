"""Numbers that `/v0` works by, with the reason for each default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExosphereSettings:
    """Limits of what Exosphere leaves unbounded."""

    lease_seconds: int = 300
    """How long a worker has a state. Exosphere's workers send no heartbeats, and take up to twice their batch size in
    advance: with its defaults (16, and 4 at a time) a state may wait for eight others. Five minutes let nodes take half
    a minute each before a state is given to a second worker; the states of a killed one go on after so long. With a
    report too late nothing is lost: the first result counts."""

    linger_seconds: float = 0.2
    """How long a poll looks for the first state. Not all that lies in a queue is a state: what opens a wide fanout is
    worked on by the poll that comes upon it, and its branches are there a moment later."""

    max_batch: int = 100
    """States in one answer, however many are asked for."""

    max_nodes: int = 200
    """Names of nodes in one poll, each of which is a look at a queue."""

    max_drawn: int = 10_000
    """States of a run that are drawn."""

    max_counted: int = 1_000
    """States of a run that are counted one by one; of wider runs the totals are told, which the engine keeps."""

    max_page: int = 1_000
    """Runs on a page."""

    max_runs: int = 10_000
    """So far beyond a page is `total` counted."""
