"""Help, completion, version, and wrong usage: at once, and without the engine."""

import os
import subprocess
import sys

import pytest

from tests.cli.command_line import karman, start

COMMANDS = [
    "run",
    "dev",
    "worker",
    "apply",
    "trigger",
    "runs",
    "show",
    "logs",
    "stats",
    "signal",
    "cancel",
    "pause",
    "resume",
    "retry",
    "rerun",
    "deploy",
    "destroy",
    "doctor",
    "export",
    "redrive-dead-letters",
    "login",
    "logout",
    "version",
]

GROUPED = [
    *[["keys", *name] for name in ([], ["list"], ["create"], ["rotate"], ["delete"])],
    *[
        ["triggers", *name]
        for name in ([], ["list"], ["next"], ["fire"], ["enable"], ["disable"], ["reconcile"])
    ],
    *[["profiles", *name] for name in ([], ["list"], ["use"])],
    *[["quotas", *name] for name in ([], ["show"], ["set"])],
]


@pytest.mark.parametrize(
    "command",
    [[], *[[name] for name in COMMANDS], ["graph"], ["graph", "draw"], ["graph", "delete"], *GROUPED],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    output = karman(*command, "--help")

    assert output.code == 0
    assert "Usage: karman" in output.out


def test_the_help_names_every_command() -> None:
    text = karman("--help").out

    assert all(f" {name} " in text for name in [*COMMANDS, "graph", "keys", "triggers", "profiles"])


def test_without_a_command_the_help_is_shown() -> None:
    assert "Usage: karman" in karman().out + karman().err


def test_the_help_loads_nothing_that_it_does_not_need() -> None:
    program = "import sys, karman_cli.main; print(' '.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout

    heavy = {
        "pydantic",
        "jsonschema",
        "yaml",
        "sqlite3",
        "asyncio",
        "boto3",
        "karman",
        "karman_core",
        "rich.live",
    }
    assert heavy.isdisjoint(loaded.split())


@pytest.mark.parametrize(
    ("shell", "part"),
    [("bash", "complete -o default -F"), ("zsh", "#compdef karman"), ("fish", "complete --command karman")],
)
def test_the_completion_script_of_a_shell(shell: str, part: str) -> None:
    with start("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1") as process:
        script, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert part in script
    assert "_KARMAN_COMPLETE" in script


def test_completion_proposes_commands() -> None:
    environment = {
        **os.environ,
        "_KARMAN_COMPLETE": "complete_bash",
        "COMP_WORDS": "karman ru",
        "COMP_CWORD": "1",
    }
    proposed = subprocess.run(
        [sys.executable, "-c", "from karman_cli.main import main; main()"],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    ).stdout

    assert proposed.split() == ["run", "runs"]


def test_the_version_is_an_option_too() -> None:
    assert karman("--version") == karman("version")


def test_the_version() -> None:
    assert karman("version").out.startswith("karman 0.")
    assert set(karman("version", "--json").document) == {"karman", "python", "platform"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
        (["run", "--zzz"], "No such option: --zzz"),
        (["show"], "Missing argument 'RUN'"),
        (["run", "a.py", "--concurrency", "many"], "Invalid value for '--concurrency'"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    output = karman(*arguments)

    assert output.code == 2
    assert output.err.startswith("Usage: karman")
    assert f"error: {message}" in output.err
    assert output.out == ""


def test_with_json_wrong_usage_is_a_document_too() -> None:
    output = karman("run", "--zzz", "--json")

    assert output.code == 2
    assert output.document == {"error": {"code": "usage", "message": "No such option: --zzz", "problems": []}}
