"""What others wrote does not command the terminal of who looks at it: no escape sequence, no markup, no forged line."""

import io
import json
import logging
import re
import stat
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from karman_cli.displays import LiveDisplay, PlainDisplay
from karman_cli.logs import FieldsFormatter, log_to_stderr
from karman_cli.printable import console, escaped_json, visible
from karman_cli.progress import Failure, Progress
from karman_core.domain.definition import GraphDefinition, NodeInstance
from tests.cli.command_line import Output, karman, write
from tests.security.hostile import ESCAPES, EVERYTHING, FORGED, MARKUP, obeyed

MODULE = f"""
from karman import Context, Graph, Retry, WaitFor, node

TEXT = {EVERYTHING!r}

@node
def give(text: str) -> str:
    return TEXT

@node
async def fail(text: str, ctx: Context) -> str:
    ctx.store.set("said", TEXT)
    raise ValueError(TEXT)

@node
async def wait(ctx: Context) -> None:
    raise WaitFor(TEXT[:100].replace("\\n", " "))

failing = Graph("failing", retry=Retry.fixed(1, delay=0.001))
first = failing.add(give, "first")
first >> failing.add(fail, "second", text=first.outputs.result)

waiting = Graph("waiting")
waiting.add(wait)
"""


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Output]:
    """Every command that shows a run, of one that holds such texts everywhere."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KARMAN_DB", str(folder / "runs.db"))
        patch.setenv("COLUMNS", "200")
        write("hostile.py", MODULE)
        given = ("-i", f"text={json.dumps(EVERYTHING)}")
        ran = karman("run", "hostile.py:failing", *given, "--db", "runs.db")
        assert ran.code == 1, ran
        (run,) = karman("runs", "--json").document["runs"]
        shown = {"run": ran}
        for words in (
            ("show",),
            ("show", "--all"),
            ("show", "--traceback"),
            ("show", "--json"),
            ("logs",),
            ("logs", "--json"),
            ("logs", "--follow"),
            ("logs", "--follow", "--json"),
            ("export",),
        ):
            shown[" ".join(words)] = karman(words[0], run["run_id"], *words[1:])
        shown["runs"] = karman("runs")
        shown["signal"] = karman("signal", run["run_id"], EVERYTHING)
        shown["unknown run"] = karman("show", EVERYTHING)
        shown["unknown file"] = karman("run", EVERYTHING.replace("\0", ""))
        shown["unknown option"] = karman(f"--{EVERYTHING}")
        shown["traceback"] = karman("show", EVERYTHING, "--traceback")
        shown["audit"] = karman("audit")
    return shown


def test_no_command_lets_a_control_character_through(looked_at: dict[str, Output]) -> None:
    assert {name: obeyed(output.out + output.err) for name, output in looked_at.items()} == {
        name: [] for name in looked_at
    }


def test_what_is_shown_is_whole(looked_at: dict[str, Output]) -> None:
    """It is made visible, not left out; and markup is text."""
    for name in ("show --all", "logs", "run"):
        text = re.sub(r"\s+", "", looked_at[name].out + looked_at[name].err)  # tables fold what is long
        assert "\u241b]0;title" in text, name
        assert all(markup in text for markup in MARKUP), name
    assert "Traceback" in looked_at["show --traceback"].out
    assert all(output.code != 70 for output in looked_at.values())


def test_json_means_the_same(looked_at: dict[str, Output]) -> None:
    run = looked_at["show --json"].document["run"]
    assert run["inputs"] == {"text": EVERYTHING}
    exported = [json.loads(line) for line in looked_at["export"].out.splitlines()]
    assert {"kind": "store", "key": "said", "value": EVERYTHING} not in exported  # its state failed
    assert any(EVERYTHING in str(line) or repr(EVERYTHING)[1:-1] in str(line) for line in exported)


def test_no_value_passes_for_a_line_of_a_log(looked_at: dict[str, Output]) -> None:
    lines = looked_at["logs"].out.splitlines()
    assert any("forged" in line for line in lines)
    assert not [line for line in lines if re.match(r"\d{4}-", line) and "forged" in line.partition("  ")[0]]
    assert not [line for line in lines if line.startswith("2026-01-01 12:00:00")]


def log_lines(message: str, *arguments: object, failed: bool = False, **extra: object) -> list[str]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FieldsFormatter())
    logger = logging.getLogger("karman.test")
    logger.addHandler(handler)
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.warning(message, *arguments, extra=extra, exc_info=failed)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue().splitlines()


def test_a_line_of_the_local_log_begins_with_its_time() -> None:
    lines = log_lines("said %s", EVERYTHING, failed=True, error=EVERYTHING)
    assert re.match(r"\d\d:\d\d:\d\d warning karman.test: said ", lines[0])
    assert all(line.startswith("    ") for line in lines[1:])
    assert len([line for line in lines if "forged" in line]) == 2
    assert obeyed("".join(lines)) == []
    assert len(log_lines("one", error=FORGED)) == 1


def test_what_is_logged_to_stderr_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("users.own").warning(EVERYTHING)
    assert obeyed(capsys.readouterr().err) == []


@pytest.mark.parametrize("text", ESCAPES)
def test_displays_show_controls(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeInstance(identifier="node", node_name="node")
    progress = Progress(GraphDefinition(name="g", nodes=(node,)))
    progress.failures.append(Failure("node", 1, f"ValueError: {text}", final=True))
    progress.failure_count = 1
    with PlainDisplay(progress) as plain:
        plain.say(text)
    assert obeyed(capsys.readouterr().err) == []
    stream = io.StringIO()
    made = console(file=stream, width=200, force_terminal=False)
    made.print(text, markup=False)
    made.print(Table.grid(), Text(text), Panel(text))
    with LiveDisplay(progress) as display:
        display.say(text)
    assert obeyed(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).replace("\r", "")) == []
    assert stream.getvalue().strip()
    assert obeyed(stream.getvalue()) == []


def test_texts_without_controls_are_left_alone() -> None:
    text = "Grüße, 世界 🎉\n\tindented [x] \u200bזה"
    assert visible(text) == text
    assert visible("a\r\nb\ud800") == "a\nb\ufffd"
    document = {"a": EVERYTHING, "b": [text]}
    assert json.loads(escaped_json(json.dumps(document, ensure_ascii=False))) == document


def test_an_export_follows_no_link_and_is_open_to_nobody(
    looked_at: dict[str, Output], empty_folder: Path
) -> None:
    """In a folder that others may write to, somebody may have laid something under the name that is to come."""
    precious = write("precious", "mine")
    Path("run.jsonl.part").symlink_to(precious)
    Path("run.jsonl").symlink_to(precious)
    write("module.py", MODULE)
    ran = karman("run", "module.py:failing", "-i", "text=x", "--db", "runs.db", "--json")
    (run,) = karman("runs", "--db", "runs.db", "--json").document["runs"]
    assert ran.code == 1

    assert karman("export", run["run_id"], "--db", "runs.db", "--out", "run.jsonl").code == 0

    assert precious.read_text() == "mine"
    assert not Path("run.jsonl").is_symlink()
    assert stat.S_IMODE(Path("run.jsonl").stat().st_mode) == 0o600
    assert not [path for path in empty_folder.iterdir() if path.suffix == ".part" and not path.is_symlink()]
