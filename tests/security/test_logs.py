"""Values that somebody sent stay values in the logs of a deployment: in one line of JSON, and in no metric's name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from karman_core.backends.aws.logs import log_as_json, silence
from karman_core.backends.aws.metrics import CloudWatchMetrics
from karman_core.backends.observers import Observers, RunLog
from karman_core.ports.observer import LeaseLost
from tests.scenario.harness import NS, node, world
from tests.security.hostile import ESCAPES, EVERYTHING, FORGED, obeyed

BREAKING = ('"}\n{"level":"ERROR","message":"forged"}', '\\"', "\\", "\u2028", "\ud800", "{}", "%s %(x)s {0}")


@pytest.fixture
def json_log() -> Iterator[list[str]]:
    """Log lines as CloudWatch gets them."""
    written: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers[:] = [Handler()]
    log_as_json("info", "karman")
    yield written
    root.handlers[:] = kept
    root.setLevel(level)


@contextmanager
def uncaptured() -> Iterator[None]:
    """Without pytest's own handlers: a report with a lone surrogate cannot be sent between its processes."""
    root = logging.getLogger()
    kept = root.handlers[:]
    root.handlers[:] = [each for each in kept if not type(each).__module__.startswith("_pytest")]
    yield
    root.handlers[:] = kept


@pytest.mark.parametrize("text", [*ESCAPES, *BREAKING, EVERYTHING, FORGED])
def test_a_line_of_json_stays_one(json_log: list[str], text: str) -> None:
    with uncaptured():
        try:
            raise ValueError(text)
        except ValueError:
            logging.getLogger("karman").exception("failed %s", text, extra={"error": text, "run_id": text})
    (line,) = json_log
    assert "\n" not in line
    found = json.loads(line)
    assert (found["error"], found["run_id"], found["level"]) == (text, text, "ERROR")
    assert "\x1b" not in line


async def test_hostile_runs_in_logs_and_metrics(
    json_log: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors, inputs, signals and tags are in no metric, and in the log as fields alone."""
    metrics = CloudWatchMetrics("stage")

    def fail(_: object) -> None:
        raise ValueError(EVERYTHING)

    async with world({"a": fail}, observer=Observers([RunLog(), metrics])) as w:
        await w.define(node("a", retry_policy={"max_retries": 0}))
        tags = {"t": EVERYTHING[:50]}
        run_id = (await w.engine.trigger(NS, "g", inputs={EVERYTHING: EVERYTHING}, tags=tags)).run_id
        await w.drive()
        assert (await w.view(run_id)).status == "FAILED"
    metrics.observe(LeaseLost(EVERYTHING, EVERYTHING))
    metrics.flush()

    documents = [json.loads(line) for line in json_log]
    assert {document["message"] for document in documents} == {"run began", "attempt failed", "run ended"}
    assert [document["error"] for document in documents if "error" in document] == [
        f"ValueError: {EVERYTHING}"
    ]
    written = capsys.readouterr().out
    names = set()
    for emitted in map(json.loads, written.splitlines()):
        for told in emitted["_aws"]["CloudWatchMetrics"]:
            names |= {name for dimensions in told["Dimensions"] for name in dimensions}
            assert {emitted[name] for dimensions in told["Dimensions"] for name in dimensions} <= {
                "stage",
                "FAILED",
            }
    assert names == {"Stage", "Status"}
    assert "forged" not in written
    assert obeyed(written) == []


def test_what_boto_says_is_not_asked_for(json_log: list[str]) -> None:
    """At the level debug it writes requests and answers whole: values of parameters, tokens of credentials."""
    names = ("boto3", "botocore", "urllib3", "s3transfer")
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)
    silence()
    for name in names:
        assert not logging.getLogger(f"{name}.endpoint").isEnabledFor(logging.INFO)
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    silence()
    assert logging.getLogger("botocore").level == logging.DEBUG  # somebody wants it so
    logging.getLogger("botocore").setLevel(logging.WARNING)
