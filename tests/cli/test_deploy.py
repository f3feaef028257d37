"""`karman deploy`: the command lines that it builds for CDK, with executables that write down how they were called."""

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import karman, write

VARIABLES = "KARMAN_BACKEND=aws KARMAN_PREFIX=karman-dev KARMAN_TABLE=karman-dev"
FAKE = f"""#!{sys.executable}
import json, os, sys
words = sys.argv[1:]
if words == ["--version"]:
    print(os.environ.get("FAKE_VERSION", "2.1148.1 (build 1a2b3c)"))
    sys.exit()
with open({{log!r}}, "a") as log:
    log.write(json.dumps(words) + "\\n")
print("what CDK says")
if "--outputs-file" in words:
    told = {{{{"KarmanApiUrl1A": "https://api.example", "KarmanEnvironment2B": {VARIABLES!r}}}}}
    with open(words[words.index("--outputs-file") + 1], "w") as file:
        json.dump({{{{"Karman-dev": told}}}}, file)
sys.exit(int(os.environ.get("FAKE_CODE", "0")))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the calls are written down; the path has a `node` and a `cdk`, and nothing else."""
    log, binaries = tmp_path / "calls", tmp_path / "bin"
    binaries.mkdir()
    executable(binaries / "cdk", FAKE.format(log=str(log)))
    executable(binaries / "node", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(binaries))
    return log


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def called(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def contexts(words: list[str]) -> dict[str, Any]:
    pairs = [words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--context"]
    return {name: json.loads(value) if name == "karman" else value for name, value in pairs}


def test_without_cdk_json_karmans_own_app_is_deployed(calls: Path) -> None:
    output = karman("deploy", "--stage", "prod", "--context", "examples=true", "--yes")

    assert output.code == 0, output.err
    (words,) = called(calls)
    assert words[:4] == ["deploy", "--all", "--require-approval", "never"]
    assert shlex.split(words[words.index("--app") + 1]) == [sys.executable, "-m", "karman_infra"]
    assert contexts(words) == {"karman": {"stage": "prod"}, "examples": "true"}
    assert output.out == "https://api.example\n"
    assert "what CDK says" not in output.out


def test_karmans_own_app_synthesizes_from_any_folder() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "karman_infra"],
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"karman": {"stage": "Not a stage"}})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "context.karman.stage" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_stacks_tell_is_kept_for_the_shell(calls: Path) -> None:
    assert karman("deploy", "--yes").code == 0
    lines = Path(".karman/dev.env").read_text(encoding="utf-8").splitlines()

    assert lines == [f"export {each}" for each in VARIABLES.split()]


def test_it_is_told_as_json(calls: Path) -> None:
    document = karman("deploy", "--yes", "--json").document

    assert document["url"] == "https://api.example"
    assert document["environment"]["KARMAN_TABLE"] == "karman-dev"
    assert document["stage"] == "dev"


def test_cdk_json_of_the_folder_says_the_app_and_the_configuration(calls: Path) -> None:
    write(
        "cdk.json",
        json.dumps({"app": "python app.py", "context": {"karman": {"stage": "one", "memory_mb": 512}}}),
    )
    assert karman("deploy", "--stage", "two").code == 0
    (words,) = called(calls)

    assert "--app" not in words
    assert "--require-approval" not in words
    assert contexts(words) == {"karman": {"stage": "two", "memory_mb": 512}}
    assert Path(".karman/two.env").exists()


def test_a_named_app_comes_first_and_the_configuration_can_be_given(calls: Path) -> None:
    write("cdk.json", json.dumps({"app": "python app.py", "context": {"karman": {"stage": "one"}}}))
    karman("deploy", "--app", "python other.py", "--context", 'karman={"stage": "three", "production": true}')
    (words,) = called(calls)

    assert words[words.index("--app") + 1] == "python other.py"
    assert contexts(words) == {"karman": {"stage": "three", "production": True}}


def test_bootstrap_comes_before_the_deployment(calls: Path) -> None:
    assert karman("deploy", "--bootstrap", "--yes").code == 0
    assert [words[0] for words in called(calls)] == ["bootstrap", "deploy"]


def test_diff_deploys_nothing(calls: Path) -> None:
    assert karman("deploy", "--diff").code == 0
    assert [words[:2] for words in called(calls)] == [["diff", "--all"]]


def test_when_cdk_fails_so_does_the_command(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODE", "1")

    for words in (("deploy",), ("deploy", "--diff"), ("deploy", "--bootstrap"), ("destroy",)):
        output = karman(*words)
        assert (output.code, output.out) == (1, "")
    assert [words[0] for words in called(calls)] == ["deploy", "diff", "bootstrap", "destroy"]
    assert not Path(".karman/dev.env").exists()


def test_the_projects_own_cdk_is_preferred(calls: Path) -> None:
    own = Path("own-calls").absolute()
    executable(Path("node_modules/.bin/cdk"), FAKE.format(log=str(own)))
    assert karman("deploy", "--diff").code == 0

    assert called(own)
    assert not calls.exists()


@pytest.mark.parametrize(
    ("gone", "said"), [("node", "needs Node"), ("cdk", "npm install --global aws-cdk@2")]
)
def test_what_is_missing_is_named(calls: Path, gone: str, said: str) -> None:
    (calls.parent / "bin" / gone).unlink()
    output = karman("deploy")

    assert output.code == 2
    assert said in output.err


def test_another_major_version_is_refused(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VERSION", "3.0.1 (build 9)")
    output = karman("deploy")

    assert output.code == 2
    assert "version 3.0.1" in output.err
    assert not calls.exists()


def test_without_the_extra_the_command_says_what_to_install(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "karman_cli.deploying.find_spec", lambda name: None if name == "aws_cdk" else object()
    )
    output = karman("deploy")

    assert output.code == 2
    assert "pip install 'karman[deploy]'" in output.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--context", "nothing"), "KEY=VALUE"),
        (("--context", "karman={"), "not JSON"),
        (("--context", "karman=[]"), "object"),
    ],
)
def test_a_context_that_cannot_be_read(calls: Path, words: tuple[str, ...], said: str) -> None:
    output = karman("deploy", *words)

    assert output.code == 2
    assert said in output.err
    assert not calls.exists()


def test_a_broken_cdk_json(calls: Path) -> None:
    write("cdk.json", "{")
    output = karman("deploy")

    assert output.code == 2
    assert "cdk.json is not JSON" in output.err
