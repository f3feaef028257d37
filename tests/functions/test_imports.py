"""Cold starts: what an entry does not need, it does not import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.emulators import ROOT

TOO_MUCH = {"croniter", "httpx", "jsonschema", "rich", "sqlite3", "typer", "uvicorn"}
LATER = {"boto3", "botocore.client"}
"""With the first event, or where Lambda initialises the instance."""

ROUTES = {"aws_lambda_powertools.event_handler"}


def imported(module: str) -> set[str]:
    """What a fresh interpreter has imported with it."""
    program = f"import json, sys, {module}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=250, cwd=ROOT
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("karman_runtime.lambda_entry", TOO_MUCH | LATER | ROUTES | {"karman_functions"}),
        ("karman_runtime.container", TOO_MUCH | LATER | ROUTES | {"karman_functions"}),
        ("karman_functions.cron.handler", TOO_MUCH | LATER | ROUTES | {"karman", "karman_runtime"}),
        ("karman_functions.dead_letters.handler", TOO_MUCH | LATER | ROUTES | {"karman", "karman_runtime"}),
        ("karman_functions.sweeper.handler", TOO_MUCH | LATER | ROUTES | {"karman", "karman_runtime"}),
        (
            "karman_functions.webhooks.handler",
            (TOO_MUCH | LATER | ROUTES | {"karman", "karman_runtime"}),
        ),
        ("karman_functions.api.handler", TOO_MUCH | LATER | {"karman", "karman_runtime"}),
    ],
)
def test_an_entry_imports_no_more_than_it_needs(module: str, banned: set[str]) -> None:
    assert not imported(module) & banned
