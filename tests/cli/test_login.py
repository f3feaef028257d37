"""`karman login`, `logout` and `profiles`."""

from pathlib import Path

import pytest

from karman.profiles import load_profiles
from tests.cli.command_line import Output, karman
from tests.cli.live import KEY, Live
from tests.cli.terminal import on_terminal


def log_in(server: Live, *arguments: str, key: str = KEY) -> Output:
    return karman("login", server.url, "--api-key-stdin", *arguments, stdin=f"{key}\n")


def issued(server: Live, scope: str) -> str:
    key = server.place("file").document("keys", "create", "ci", "--scope", scope)["key"]
    assert isinstance(key, str)
    return key


def profiles_file(folder: Path) -> Path:
    return folder / "config" / "karman" / "profiles.toml"


def test_commands_work_on_the_server_that_one_logged_in_to(server: Live, empty_folder: Path) -> None:
    before = karman("keys", "list")
    output = log_in(server)
    file = profiles_file(empty_folder)

    assert before.code == 2
    assert output.code == 0
    assert output.err == f"logged in to {server.url}, namespace 'default'; profile 'local' is current\n"
    assert KEY not in output.out + output.err
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert karman("keys", "list").code == 0


def test_the_key_is_asked_for_and_not_shown(server: Live, empty_folder: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(empty_folder / "config")}
    output = on_terminal("login", server.url, question="API key: ", answer=KEY, env=env)

    assert output.code == 0
    assert "profile 'local' is current" in output.out
    assert KEY not in output.out
    assert KEY in profiles_file(empty_folder).read_text()


def test_a_key_that_the_server_does_not_know_is_not_saved(server: Live, empty_folder: Path) -> None:
    output = log_in(server, key="karman.default.nobody.nothing")

    assert output.code == 77
    assert output.err.startswith(f"error: {server.url} does not know the API key")
    assert "nothing" not in output.err
    assert not profiles_file(empty_folder).exists()


@pytest.mark.parametrize(
    ("url", "code", "message"),
    [
        ("http://127.0.0.1:1", 69, "error: http://127.0.0.1:1 cannot be reached"),
        ("127.0.0.1:8700", 2, "error: The server's URL must be http(s)://HOST[:PORT]"),
    ],
)
def test_a_server_that_is_none(url: str, code: int, message: str, empty_folder: Path) -> None:
    output = karman("login", url, "--api-key-stdin", stdin="key\n")

    assert output.code == code
    assert output.err.startswith(message)
    assert not profiles_file(empty_folder).exists()


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--api-key-stdin"], "", "there is no API key on standard input"),
        (["--api-key-stdin"], "k" * 2_000, "this is no API key"),
        (["--api-key-stdin", "--profile", "no spaces"], "key", "'no spaces' is no name for a profile"),
        (["--api-key-stdin", "--namespace", "no spaces"], "key", "'no spaces' is no name of a namespace"),
        ([], "key", "pipe the key in with --api-key-stdin"),
    ],
)
def test_what_cannot_be_used_to_log_in(arguments: list[str], stdin: str, message: str) -> None:
    output = karman("login", "http://127.0.0.1:1", *arguments, stdin=stdin)

    assert output.code == 2
    assert message in output.err


def test_the_namespace_is_that_of_the_key(server: Live) -> None:
    made = karman(
        *("keys", "create", "ci", "--scope", "read", "-n", "team", "--json"),
        env=server.place("file").env,
    ).document["key"]
    output = log_in(server, "--profile", "team", key=made)
    elsewhere = log_in(server, "--namespace", "default", key=made)

    assert output.code == 0
    assert load_profiles().profiles["team"].namespace == "team"
    assert elsewhere.code == 77
    assert "it takes scope 'read' in this namespace. (Namespace 'default' of http://" in elsewhere.err


def test_a_key_that_may_not_read_is_saved_with_a_warning(server: Live) -> None:
    output = log_in(server, key=issued(server, "trigger"))
    triggered = karman("trigger", "greeting", "-i", "name=a")
    listed = karman("runs")
    waited = karman("trigger", "greeting", "-i", "name=a", "--wait")

    assert "warning: the key may not read" in output.err
    assert (triggered.code, triggered.err) == (0, "")
    assert (listed.code, waited.code) == (77, 77)
    assert waited.err.startswith("run ")


def test_profiles_are_listed_without_keys_and_chosen(server: Live) -> None:
    log_in(server, "--profile", "one")
    log_in(server, "--profile", "two", "--json")
    table = karman("profiles")
    used = karman("profiles", "use", "one")
    named = karman("profiles", "--json", env={"KARMAN_PROFILE": "two"}).document["profiles"]
    unknown = karman("profiles", "use", "three")

    assert KEY not in table.out + table.err
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == ["one", "*"]
    assert used.err == f"profile 'one' ({server.url}) is current\n"
    assert load_profiles().default == "one"
    assert [each["name"] for each in named if each["current"]] == ["two"]
    assert (unknown.code, "There is no profile 'three'; there are: one, two" in unknown.err) == (2, True)


def test_the_profile_that_the_environment_names_can_be_made(server: Live) -> None:
    env = {"KARMAN_PROFILE": "new"}
    before = karman("runs", env=env)
    output = karman(*("login", server.url, "--profile", "new", "--api-key-stdin"), stdin=f"{KEY}\n", env=env)

    assert (before.code, "There is no profile 'new'" in before.err) == (2, True)
    assert output.code == 0
    assert karman("runs", "--json", env=env).code == 0


def test_logging_out_forgets_the_key(server: Live, empty_folder: Path) -> None:
    log_in(server, "--profile", "one")
    log_in(server, "--profile", "two")
    current = karman("logout")
    other = karman("logout", "--profile", "one", "--json")
    none = karman("logout")

    assert current.err == f"forgot profile 'two' ({server.url})\n"
    assert other.document == {"profile": "one", "url": server.url}
    assert (none.code, none.err) == (2, "error: No profile is current; name one with --profile.\n")
    assert KEY not in profiles_file(empty_folder).read_text()
    assert karman("profiles").err == "no profiles; `karman login URL` makes one\n"
