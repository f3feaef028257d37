"""One `karman dev` for all tests that operate runs: they reach it through its database file, and through its server."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cli.command_line import Output, karman, start, unheard, wait_for_line, wait_until
from tests.cli.development import url_of

KEY = "the-admin-key-of-the-live-server"
PLACES = ("file", "server")

GRAPHS = """
from pathlib import Path
from karman import Context, Graph, Retry, WaitFor, node

@node
def greet(name: str, times: int = 1) -> str:
    return " ".join(f"Hello, {name}!" for _ in range(times))

greeting = Graph("greeting")
greeting.add(greet)
greeting.cron("0 3 * * *", inputs={"name": "cron"}, name="nightly")

@node
def numbers(count: int) -> list[int]:
    return list(range(count))

@node
def double(number: int, folder: str) -> int:
    if number == 3 and not Path(folder, "mended").exists():
        raise ValueError("three is broken")
    return 2 * number

@node
def add_up(numbers: list[int]) -> int:
    return sum(numbers)

sums = Graph("sums", store_required=["folder"], retry=Retry.fixed(1, delay=0.001))
many = sums.add(numbers, "many")
each = sums.add(double, "each", number=many.outputs.result, folder=sums.store.folder)
total = sums.add(add_up, "total", unites=many, numbers=each.outputs.result)
many >> each >> total

@node
async def ask(question: str, ctx: Context) -> dict[str, object]:
    if ctx.resumed is None:
        raise WaitFor("approve")
    return {"answer": ctx.resumed.payload}

approval = Graph("approval")
approval.add(ask)
"""


@dataclass(frozen=True)
class Live:
    """A server that works on a database."""

    url: str
    database: Path

    def place(self, kind: str) -> "Place":
        """The one or the other way to it."""
        if kind == "file":
            return Place(kind, {"KARMAN_DB": str(self.database)})
        return Place(kind, {"KARMAN_URL": self.url, "KARMAN_API_KEY": KEY})


@dataclass(frozen=True)
class Place:
    """Where commands work, by the environment."""

    kind: str
    env: dict[str, str]

    def __call__(self, *arguments: str, stdin: str | None = None) -> Output:
        """Run a command there."""
        return karman(*arguments, stdin=stdin, env=self.env)

    def document(self, *arguments: str) -> Any:
        """What it says with `--json`."""
        output = self(*arguments, "--json")
        assert output.code in {0, 1}, output
        return output.document

    def failed(self, folder: Path, *tags: str) -> str:
        """A run that has failed, in branch 3 of five; it is mended by a file in the folder."""
        tagged = [word for tag in tags for word in ("--tag", tag)]
        arguments = ("trigger", "sums", "-i", "count=5", "--store", f"folder={folder}", *tagged, "--wait")
        run = self.document(*arguments)
        assert run["status"] == "FAILED", run
        return str(run["run_id"])

    def waiting(self, *arguments: str) -> str:
        """A run that waits for a signal."""
        run = self("trigger", "approval", "-i", "question=really?", *arguments).out.strip()
        wait_until(lambda: self.document("show", run)["run"]["awaiting"] == ["approve"])
        return run


@contextmanager
def live() -> Iterator[Live]:
    """Serve."""
    with tempfile.TemporaryDirectory(prefix="karman-live-") as folder:
        module, database = Path(folder, "live.py"), Path(folder, "runs.db")
        module.write_text(GRAPHS, encoding="utf-8")
        process = start(
            "dev", str(module), "--db", str(database), "--no-reload", KARMAN_PORT="0", KARMAN_API_KEY=KEY
        )
        try:
            url = url_of(wait_for_line(process, "ready: "))
            with unheard(process):
                yield Live(url, database)
        finally:
            process.kill()
            process.communicate()


def lines(text: str) -> list[dict[str, Any]]:
    """JSON documents, one a line."""
    return [json.loads(line) for line in text.splitlines()]
