"""Numbers the engine works by, with the reason for each default."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_SHARD = 2
"""A join tree of narrower items would not get narrower towards its root."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Limits and intervals. Times in seconds unless the name says otherwise."""

    lease_seconds: int = 60
    """How long a received message stays hidden; heartbeats extend it. A dead worker's work is taken over after it."""

    inline_states: int = 100
    """States run on one message before the branch is handed on: bounds the walk after a crash."""

    inline_seconds: float = 300.0
    """Time spent on one message before the branch is handed on."""

    crash_limit: int = 8
    """Deliveries of a state that ended without a commit before it fails with `worker_crashed`."""

    direct_branches: int = 10
    """Forks up to this width send their branches themselves (one batch); wider ones send range messages."""

    shard_width: int = 200
    """Members of one join item. 200 three-digit members with counts stay under 1 KB, one write unit."""

    running_record_seconds: float = 10.0
    """A RUNNING record is written only for executions longer than this: most states then cost one write."""

    inline_payload_bytes: int = 16_384
    """Payloads over this go to a blob. Near it an S3 put costs what the table's write units cost."""

    carried_value_bytes: int = 2_048
    """Outputs up to this ride in messages to the states that read them; larger ones are read from the table."""

    control_cache_seconds: float = 1.0
    """How long a run's cancel/pause flag is believed."""

    quota_cache_seconds: float = 15.0
    """How long the quotas of a namespace are believed."""

    node_cache_seconds: float = 30.0
    """How long a registered node's runtime and time-out are believed."""

    run_deadline_seconds: int = 365 * 86_400
    """Every run ends by then, if its graph or trigger says nothing."""

    retention_seconds: int = 30 * 86_400
    """Items of a run outlive its deadline or end by this; longer than the 14 days a message can live."""

    stalled_seconds: int = 3_600
    """The sweeper redrives a run in which nothing has moved for so long."""

    publish_started: bool = False
    """Publish `run.started` too. Off, since it doubles the events of a run and takes a request at its beginning."""

    max_inputs_bytes: int = 262_144
    """A trigger's inputs and store values together, as JSON."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers with which the engine would not come to an end."""
        if self.shard_width < SMALLEST_SHARD or self.inline_states < 1 or self.lease_seconds < 1:
            raise ValueError("shard_width is at least 2, inline_states and lease_seconds at least 1")
