"""Which place a command works on, and what it says when that place cannot be worked on."""

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from karman.client import Backoff
from karman.profiles import Profile, Profiles, save_profiles
from karman_cli.connections import servers
from tests.cli.command_line import GREETING, finish, karman, start, wait_for_line, write
from tests.cli.live import KEY, Live, live

pytestmark = pytest.mark.slow  # processes, emulators or sheer numbers: seconds a test

OPTION, NAMED, VARIABLE, CURRENT = (f"http://127.0.0.1:{port}" for port in (1, 2, 3, 4))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "BACKOFF", Backoff(retries=0))
    monkeypatch.setattr(servers, "TIMEOUT_SECONDS", 60.0)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("arguments", "env", "found"),
    [
        (["--db", "option.db"], {"KARMAN_URL": VARIABLE, "KARMAN_DB": "variable.db"}, "option.db"),
        (["--url", OPTION], {"KARMAN_URL": VARIABLE, "KARMAN_DB": "variable.db"}, OPTION),
        (["--profile", "named"], {"KARMAN_URL": VARIABLE, "KARMAN_DB": "variable.db"}, NAMED),
        ([], {"KARMAN_URL": VARIABLE, "KARMAN_DB": "variable.db"}, VARIABLE),
        ([], {"KARMAN_PROFILE": "named", "KARMAN_DB": "variable.db"}, NAMED),
        ([], {"KARMAN_DB": "variable.db"}, "variable.db"),
        ([], {}, CURRENT),
    ],
)
def test_options_come_before_the_environment_and_that_before_the_profile(
    arguments: list[str], env: dict[str, str], found: str
) -> None:
    profiles = Profiles().with_profile("named", Profile(url=NAMED)).with_profile("c", Profile(url=CURRENT))
    save_profiles(profiles)
    write("greeting.py", GREETING)
    assert karman("run", "greeting.py", "-i", "name=a", "--db", ".karman/karman.db").code == 0
    output = karman("runs", *arguments, env=env)

    assert output.code in {2, 69}
    assert found in output.err


def test_without_any_of_them_it_is_the_usual_database() -> None:
    none = karman("runs")
    write("greeting.py", GREETING)
    assert karman("run", "greeting.py", "-i", "name=a", "--db", ".karman/karman.db").code == 0

    assert none.code == 2
    assert none.err == (
        "error: There is no database at .karman/karman.db, and no server is configured: run `karman dev` here or "
        "`karman login URL`, or name one with --db FILE or --url URL.\n"
    )
    assert len(karman("runs", "--json").document["runs"]) == 1


def test_a_file_and_a_server_are_too_many() -> None:
    output = karman("runs", "--db", "a.db", "--url", OPTION)

    assert output.code == 2
    assert "--db names a file and --url a server; choose one" in output.err


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def stranger() -> Iterator[str]:
    """A server that is none of Karman's."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("traceback", [[], ["--traceback"]])
def test_each_failure_of_a_connection_is_one_line_with_a_code_of_its_own(
    server: Live, silent: str, stranger: str, traceback: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = server.place("file").document("keys", "create", "ci", "--scope", "read")["key"]
    failures = [
        ("runs", server.url, "wrong-key", 77, f"{server.url} does not know the API key"),
        ("runs", server.url, "", 77, f"{server.url} does not know the API key, or got none"),
        ("cancel r1", server.url, read, 77, "takes scope 'trigger' in this namespace."),
        ("runs -n other", server.url, KEY[:-1], 77, "does not know the API key"),
        ("runs -n other", server.url, read, 77, f"(Namespace 'other' of {server.url}.)"),
        ("runs", OPTION, KEY, 69, f"{OPTION} cannot be reached"),
        ("runs", silent, KEY, 75, f"{silent} did not answer in 2 s"),
        ("runs", stranger, KEY, 69, f"{stranger}: The answer to GET /v1/namespaces/default/runs is not as"),
        ("runs", "ftp://h", KEY, 2, "The server's URL must be http(s)://"),
    ]
    for command, url, key, code, message in failures:
        monkeypatch.setattr(servers, "TIMEOUT_SECONDS", 2.0 if url == silent else 60.0)
        env = {"KARMAN_API_KEY": key}
        output = karman(*command.split(), "--url", url, *traceback, env=env)
        last = output.err.splitlines()[-1]
        assert (output.code, output.out) == (code, ""), output
        assert last.startswith("error: "), output
        assert message in last
        assert bool(traceback) == ("Traceback" in output.err)
        assert not key or key not in output.err
        as_json = karman(*command.split(), "--url", url, "--json", env=env)
        assert (as_json.code, message in as_json.document["error"]["message"]) == (code, True)


def test_a_server_that_goes_away_while_a_run_is_followed() -> None:
    with live() as running:
        env = running.place("server").env
        process = start("trigger", "approval", "-i", "question=now?", "--wait", **env)
        run = wait_for_line(process, "run ").split()[1]
        wait_for_line(process, "waiting for the signal 'approve'")
    output = finish(process)

    assert output.code == 69
    assert f"the run goes on; to follow it:\n  karman logs {run} --follow\n" in output.err
    assert f"error: {running.url} cannot be reached" in output.err.splitlines()[-1]


def test_a_profile_that_does_not_exist() -> None:
    output = karman("runs", "--profile", "nope")

    assert output.code == 2
    assert output.err.startswith("error: There is no profile 'nope'")


def test_profiles_that_cannot_be_read_are_no_matter_where_none_is_asked_for(empty_folder: Path) -> None:
    write("config/karman/profiles.toml", "api_key = 'a-secret'")
    write("greeting.py", GREETING)
    assert karman("run", "greeting.py", "-i", "name=a", "--db", "runs.db").code == 0
    asked = karman("runs")

    assert karman("runs", "--db", "runs.db").code == 0
    assert asked.code == 2
    assert "cannot be used" in asked.err
    assert "a-secret" not in asked.err
