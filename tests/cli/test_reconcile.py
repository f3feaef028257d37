"""`karman triggers reconcile`: the schedules of a database are compared with its graphs, and mended."""

import asyncio
from pathlib import Path

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.timers import Schedule
from tests.cli.command_line import GREETING, karman, write
from tests.cli.live import Live

CRON = '\ngraph.cron("0 3 * * *", inputs={"name": "cron"}, name="nightly")\n'


@pytest.fixture
def database() -> Path:
    """With a graph whose one trigger is missing, and a schedule of a graph that is not there."""
    write("greeting.py", GREETING + CRON)
    assert karman("run", "greeting.py", "--input", "name=Ada", "--db", "k.db").code == 0
    assert karman("apply", "greeting.py", "--yes", "--db", "k.db").code in {0, 1}
    backend = EmbeddedBackend.open("k.db", clock=SystemClock(), entropy=SystemEntropy())

    async def spoil() -> None:
        await backend.schedules.delete("default", "greeting", "nightly")
        await backend.schedules.put(Schedule("default", "gone", "hourly", "0 * * * *"))

    asyncio.run(spoil())
    backend.close()
    return Path("k.db")


def test_a_dry_run_tells_and_changes_nothing(database: Path) -> None:
    output = karman("triggers", "reconcile", "--dry-run", "--db", str(database))

    assert output.code == 0
    lines = [line.split() for line in output.out.splitlines()]
    assert ["gone", "hourly", "orphaned", "none", "0", "*", "*", "*", "*", "UTC"] in lines
    assert ["greeting", "nightly", "missing", "0", "3", "*", "*", "*", "UTC", "none"] in lines
    assert "2 would be mended" in output.err
    assert [each["graph"] for each in karman("triggers", "--json", "--db", "k.db").document["triggers"]] == [
        "gone"
    ]


def test_it_mends_what_it_tells(database: Path) -> None:
    document = karman("triggers", "reconcile", "--json", "--db", str(database)).document

    assert document["mended"] is True
    assert {each["drift"] for each in document["differences"]} == {"missing", "orphaned"}
    assert [
        each["trigger"] for each in karman("triggers", "--json", "--db", "k.db").document["triggers"]
    ] == ["nightly"]
    assert "as the graphs want them" in karman("triggers", "reconcile", "--db", str(database)).err


def test_a_server_does_it_too(server: Live) -> None:
    backend = EmbeddedBackend.open(server.database, clock=SystemClock(), entropy=SystemEntropy())
    asyncio.run(backend.schedules.delete("default", "greeting", "nightly"))
    backend.close()
    place = server.place("server")
    told = [
        place("triggers", "reconcile", *words, "--json").document
        for words in (("--dry-run",), (), ("--rewrite",))
    ]

    assert [each["mended"] for each in told] == [False, True, True]
    assert told[0]["differences"] == told[1]["differences"]
    (difference,) = told[1]["differences"]
    assert (difference["trigger"], difference["drift"]) == ("nightly", "missing")
    assert difference["wanted"]["cron"] == "0 3 * * *"
    assert difference["found"] is None
    assert told[2]["differences"] == []
