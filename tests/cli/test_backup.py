"""`karman backup`; that a damaged file is not copied, and how to go back to a copy: tests/faults/test_damage.py."""

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.command_line import GREETING, Output, karman, write
from tests.cli.live import Live

LARGE = """
import random
from pydantic import BaseModel
from karman import Graph, node

class Secrets(BaseModel):
    token: str

@node
def tell(size: int, secrets: Secrets) -> str:
    return secrets.token + random.Random(1).randbytes(size).hex()

graph = Graph("large")
graph.add(tell)
"""


@pytest.fixture
def database() -> Path:
    write("large.py", LARGE)
    done = karman("run", "large.py", "-i", "size=50000", "--secret", "token=hush", "--db", "k.db")
    assert done.code == 0, done
    return Path("k.db")


def runs(database: str) -> Output:
    return karman("runs", "--db", database, "--json")


def test_a_copy_is_whole(database: Path) -> None:
    output = karman("backup", "copies/one/k.db", "--db", str(database))
    assert output.code == 0, output
    assert "1 large payloads with it" in output.err

    copy = Path("copies/one/k.db")
    assert runs(str(copy)).document == runs(str(database)).document
    assert karman("doctor", "--db", str(copy)).code == 0
    (run,) = runs(str(copy)).document["runs"]
    shown = karman("show", run["run_id"], "--db", str(copy), "--json").document
    assert len(shown["run"]["result"]["result"]) == 100_004
    key = copy.with_name("k.db.key")
    assert key.read_bytes() == Path("k.db.key").read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, key)] == [0o600, 0o600]


def test_as_a_document(database: Path) -> None:
    document = karman("backup", "copy.db", "--db", str(database), "--json").document
    assert document.pop("size") > 50_000
    assert document == {"path": "copy.db", "payloads": 1, "missing": 0}


@pytest.mark.parametrize("there", ["copy.db", "copy.db-wal", "copy.db.blobs"])
def test_nothing_is_written_over(database: Path, there: str) -> None:
    write(there, "mine")
    output = karman("backup", "copy.db", "--db", str(database))

    assert output.code == 2
    assert f"There is {there} already" in output.err
    assert Path(there).read_text() == "mine"
    assert sorted(path.name for path in Path().glob("copy*")) == [there]


def test_a_place_where_nothing_can_be_written(database: Path) -> None:
    write("file", "mine")
    output = karman("backup", "file/copy.db", "--db", str(database))

    assert output.code == 70
    assert "file/copy.db cannot be written" in output.err


def test_payloads_that_are_missing_are_told(database: Path) -> None:
    for path in Path("k.db.blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    output = karman("backup", "copy.db", "--db", str(database))

    assert output.code == 0
    assert "warning: 1 payloads were not there" in output.err


def test_damaged_rows_are_not_copied(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE items SET body = substr(body, 2) WHERE sk = 'header'")
    output = karman("backup", "copy.db", "--db", str(database), "--json")

    assert output.code == 70
    assert "k.db is damaged, so no backup was made: 1 of " in json.loads(output.out)["error"]["message"]
    assert not list(Path().glob("copy*"))


def test_a_server_is_not_copied_like_this(server: Live) -> None:
    output = karman("backup", "copy.db", env=server.place("server").env)
    assert output.code == 2
    assert "Only database files are copied like this" in output.err


def test_a_copy_while_others_write(server: Live) -> None:
    place = server.place("file")
    for number in range(5):
        place("trigger", "greeting", "-i", f"name={number}", "--db", str(server.database))
        assert place("backup", f"copy-{number}.db").code == 0
    for number in range(5):
        assert karman("doctor", "--db", f"copy-{number}.db").code == 0


def test_without_a_database() -> None:
    write("greeting.py", GREETING)
    assert karman("backup", "copy.db", "--db", "none.db").code == 2
