"""`karman doctor` on a server and on a database file. tests/aws/test_inspection.py has a deployment's resources."""

import os
import sqlite3
from pathlib import Path

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.embedded.inspection import inspect
from karman_core.backends.system import SystemClock, SystemEntropy
from tests.cli.command_line import GREETING, karman, write
from tests.cli.live import KEY, Live, Place


def levels(document: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {check["name"]: check["level"] for check in document["checks"]}


@pytest.fixture
def database() -> Path:
    write("greeting.py", GREETING)
    assert karman("run", "greeting.py", "--input", "name=Ada", "--db", "k.db").code == 0
    return Path("k.db")


def test_all_is_well_on_either(place: Place) -> None:
    output = karman("doctor", "--json", env=place.env)

    assert output.code == 0
    assert {"problem"}.isdisjoint(levels(output.document).values())
    expected = (
        {"integrity", "log", "size", "oldest run"} if place.kind == "file" else {"health", "version", "clock"}
    )
    assert expected <= levels(output.document).keys()


def test_the_scope_of_a_key_is_told(server: Live) -> None:
    admin = {"KARMAN_URL": server.url, "KARMAN_API_KEY": KEY}
    told = {}
    for scope in ("admin", "read", "trigger"):
        issued = karman("keys", "create", scope, "--scope", scope, "--json", env=admin).document
        output = karman("doctor", "--json", env={**admin, "KARMAN_API_KEY": issued["key"]})
        assert output.code == 0
        (told[scope],) = [check for check in output.document["checks"] if check["name"] == "key"]

    assert told["admin"]["text"].startswith("scope admin")
    assert told["read"]["text"].startswith("scope read")
    assert told["trigger"]["level"] == "warning"


def test_a_key_that_is_not_known_is_an_error(server: Live) -> None:
    output = karman("doctor", env={"KARMAN_URL": server.url, "KARMAN_API_KEY": "wrong"})

    assert output.code == 77
    assert "does not know the API key" in output.err


def test_no_server_at_all() -> None:
    assert karman("doctor", "--url", "http://127.0.0.1:1").code == 69


def test_people_get_a_line_a_check_and_what_to_do(database: Path) -> None:
    database.chmod(0o644)
    output = karman("doctor", "--db", str(database))

    assert output.code == 0
    lines = output.out.splitlines()
    assert any(line.startswith("ok       integrity") for line in lines)
    assert any(line.startswith("warning  file mode") for line in lines)
    assert any(line.strip().startswith(f"-> chmod 600 {database}") for line in lines)


def test_a_key_file_that_others_can_read_is_a_problem(database: Path) -> None:
    write("k.db.key", "x").chmod(0o640)
    output = karman("doctor", "--db", str(database), "--json")

    assert output.code == 1
    assert output.document["level"] == "problem"
    assert levels(output.document)["key file"] == "problem"


def test_an_unfinished_run_is_named(server: Live) -> None:
    place = server.place("file")
    place.waiting()
    checks = karman("doctor", "--json", env=place.env).document["checks"]
    (check,) = [each for each in checks if each["name"] == "oldest run"]

    assert " of default/" in check["text"]
    assert check["text"].endswith(" hours")


def test_what_waits_in_queues_is_told(database: Path) -> None:
    checks = karman("doctor", "--db", str(database), "--json").document["checks"]
    (text,) = [each["text"] for each in checks if each["name"].startswith("queue default/greeting-")]

    assert text == "0 waiting, 0 in work, 0 delayed"


def test_a_damaged_file_is_a_problem(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        (root,) = connection.execute(
            "SELECT max(rootpage) FROM sqlite_schema WHERE type = 'index'"
        ).fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(os.urandom(page_size))
    backend = EmbeddedBackend.open(database, clock=SystemClock(), entropy=SystemEntropy())
    found = {check.name: check for check in inspect(backend.database)}
    backend.close()

    assert found["integrity"].level == "problem"
    assert "damaged" in found["integrity"].text
    assert "backup" in found["integrity"].advice


def test_a_file_that_is_no_database() -> None:
    write("k.db", "this is no database, but it is long enough for somebody to think so " * 20)
    output = karman("doctor", "--db", "k.db")

    assert output.code == 70
    assert "k.db is no SQLite database" in output.err


def test_without_a_database_there_is_nothing_to_look_at() -> None:
    assert karman("doctor", "--db", "none.db").code == 2
