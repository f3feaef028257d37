"""`karman keys` and `karman triggers`."""

import pytest

from tests.cli.command_line import GREETING, finish, karman, start, wait_for_line, write


@pytest.fixture
def database() -> str:
    """One that `karman dev` has made."""
    write("greeting.py", GREETING + "\ngraph.cron('0 3 * * *', inputs={'name': 'cron'})\n")
    process = start("dev", "greeting.py", "--db", "runs.db", "--no-server")
    wait_for_line(process, "ready: ")
    process.terminate()
    assert finish(process).code == 0
    return "runs.db"


def test_a_key_is_made_listed_rotated_and_revoked(database: str) -> None:
    made = karman("keys", "create", "ci", "--scope", "read", "--scope", "trigger", "--db", database)
    listed = karman("keys", "list", "--db", database, "--json").document["keys"]
    key_id = listed[0]["id"]
    rotated = karman("keys", "rotate", key_id, "--overlap", "0s", "--db", database)
    table = karman("keys", "list", "--db", database).out
    revoked = karman("keys", "delete", key_id, "--db", database)
    again = karman("keys", "delete", key_id, "--db", database)

    assert made.out.startswith(f"karman.default.{key_id}.")
    assert [(each["name"], each["scopes"]) for each in listed] == [("ci", ["read", "trigger"])]
    assert rotated.out.startswith(f"karman.default.{key_id}.")
    assert rotated.out != made.out
    assert key_id in table
    assert "read, trigger" in table
    assert made.out.strip() not in table
    assert revoked.code == 0
    assert karman("keys", "list", "--db", database).err == "no keys\n"
    assert (again.code, again.err) == (2, f"error: There is no key '{key_id}'.\n")


def test_a_key_as_a_document(database: str) -> None:
    made = karman("keys", "create", "ci", "--scope", "admin", "--db", database, "--json").document

    assert made["key"].startswith(f"karman.default.{made['id']}.")
    assert made["scopes"] == ["admin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keys", "create", "ci", "--scope", "all"], "--scope is one of admin, trigger, worker, read"),
        (["keys", "create", "ci"], "Missing option '--scope'"),
        (["keys", "rotate", "x", "--overlap", "31d"], "--overlap is at most 30d"),
        (["keys", "list", "--db", "nowhere.db"], "There is no database at nowhere.db"),
        (["keys", "create", "ci", "--scope", "read", "-n", "a b"], "'a b' is no name of a namespace"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str) -> None:
    output = karman(*arguments)

    assert output.code == 2
    assert message in output.err


@pytest.mark.parametrize("name", ["", " ", "n" * 257])
def test_a_key_has_a_name(database: str, name: str) -> None:
    output = karman("keys", "create", name, "--scope", "read", "--db", database)

    assert (output.code, output.out) == (2, "")
    assert output.err == "error: A key's name has 1 to 256 characters: whose it is, or what it is for.\n"


def test_triggers_are_listed_with_their_next_firings(database: str) -> None:
    table = karman("triggers", "--db", database).out
    (trigger,) = karman("triggers", "--next", "2", "--db", database, "--json").document["triggers"]
    other = karman("triggers", "--graph", "other", "--db", database)

    assert "0 3 * * *" in table
    assert (trigger["graph"], trigger["trigger"], trigger["enabled"]) == ("greeting", "cron-0", True)
    assert trigger["next_ms"][1] - trigger["next_ms"][0] == 86_400_000
    assert (other.code, other.err) == (2, "error: There is no graph 'other' in namespace 'default'.\n")
