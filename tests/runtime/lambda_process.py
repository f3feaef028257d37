"""Lambda's runtime, as a process: each line on stdin is an event, and the handler gets it in a process of its own.

What follows from it is one line on stdout: `{"answer": ...}`, or `{"exit": code}` when the process ended in it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from karman_runtime import batches, lambda_entry
from tests.runtime.lambda_events import LambdaContext

# A machine that stands still must not pass for a queue that does not answer.
batches.SHORTENING_SECONDS = 60.0


def invoke(event: dict[str, Any]) -> dict[str, Any]:
    """Fork, so that what takes time to import is imported once."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        answer = lambda_entry.handler(event, LambdaContext())
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {"exit": code} if code else {"answer": json.loads(text)}


def main() -> None:
    """Serve until stdin ends; what handlers print goes to stderr."""
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        os.write(answers, json.dumps(invoke(json.loads(line))).encode() + b"\n")


if __name__ == "__main__":
    main()
