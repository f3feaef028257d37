"""Database files that are damaged, read-only or locked: what is said, how to go back, and that work goes on."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from tests.emulators import ROOT
from tests.faults.graphs import WIDTH, closed, expected
from tests.faults.processes import Stage, stage, wait_until

OPERATE = ROOT / "docs" / "operate.md"


def commands_of(page: Path, heading: str) -> list[list[str]]:
    """The commands of each console block under a heading."""
    section = page.read_text(encoding="utf-8").partition(f"{heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, flags=re.DOTALL)
    return [[line.removeprefix("$ ") for line in block.splitlines()] for block in blocks]


def shell(on: Stage, commands: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Type commands, as the documentation has them, where the database is in its usual place."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KARMAN_")}
    environment = {**kept, "PATH": path, "XDG_CONFIG_HOME": str(on.folder / "config")}
    return [
        subprocess.run(
            ["bash", "-c", command],
            check=False,
            cwd=on.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        for command in commands
    ]


def usual_place(on: Stage) -> None:
    """Where commands look for the database."""
    on.database = on.folder / ".karman" / "karman.db"


def trash(database: Path, chance: random.Random) -> None:
    """Write garbage into the middle of a file that nobody uses, and leave its first page as it is."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size // 4)
        file.write(chance.randbytes(size // 2))


def with_runs(on: Stage, count: int, **inputs: int) -> dict[int, str]:
    runs = {number: on.trigger("sums", f"run-{number}", first=number, width=WIDTH) for number in range(count)}
    for run_id in runs.values():
        assert on.ended(run_id)["status"] == "SUCCEEDED"
    return runs


@pytest.mark.slow
def test_a_damaged_file_is_noticed_and_a_backup_restored_as_documented(
    tmp_path: Path, figures: Callable[[str], None]
) -> None:
    backing_up, restoring = commands_of(OPERATE, "### A database file")
    with stage(tmp_path) as on:
        usual_place(on)
        server = on.server()
        runs = with_runs(on, 20)
        large = on.trigger("large", "large", size=200_000)
        assert on.ended(large)["status"] == "SUCCEEDED"
        with closed(on.folder):
            under_way = on.trigger("sums", "a", first=99, width=WIDTH)
            [made] = shell(on, backing_up)
            assert made.returncode == 0, made.stderr
            assert on.read(f"/runs/{under_way}")["status"] == "RUNNING"
            on.trigger("sums", "lost", first=7, width=WIDTH)
            server.kill()

        damage(on)
        done = shell(on, restoring)
        assert [each.returncode for each in done] == [0, 0, 0], done
        on.server()
        for number, run_id in runs.items():
            run = on.ended(run_id)
            assert (run["status"], run["result"]) == ("SUCCEEDED", {"result": expected(number)})
        assert on.ended(under_way)["result"] == {"result": expected(99)}
        assert len(on.states(large)[0]["outputs"][0]["result"]) == 200_000  # of the copied payloads
        again = on.trigger("sums", "lost", first=7, width=WIDTH)
        assert on.ended(again)["result"] == {"result": expected(7)}
    figures(
        f"every command names the damaged file; {len(runs) + 2} runs restored, one of them was under way and ended"
    )


def damage(on: Stage) -> None:
    """Write garbage into the file, which every command then names; none makes a copy of it."""
    with closing(sqlite3.connect(on.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    trash(on.database, random.Random(1))
    copy = on.folder / "no.db"
    said = [on.run(*command) for command in (("runs",), ("doctor",), ("backup", str(copy)))]
    for command in said:
        assert "is damaged" in command.said, command.said
        assert str(on.database) in command.said or "integrity" in command.said
        assert "Traceback" not in command.said
    assert [command.process.returncode for command in said] == [70, 1, 70]
    assert not list(on.folder.glob("no.db*"))


@pytest.mark.slow
def test_a_text_that_was_overwritten_is_noticed(tmp_path: Path) -> None:
    """SQLite has no checksums: the file is whole for it."""
    with stage(tmp_path) as on:
        server = on.server()
        runs = with_runs(on, 3)
        server.kill()
        with sqlite3.connect(on.database) as connection:
            for run_id, body in ((runs[0], "'{\"id\": gar'"), (runs[1], "CAST(x'ff80ff80' AS TEXT)")):
                changed = f"UPDATE items SET body = {body} WHERE pk = ? AND sk = 'header'"
                assert connection.execute(changed, (f"default#run#{run_id}",)).rowcount == 1
        connection.close()

        for number in (0, 1):
            shown = on.run("show", runs[number])
            assert shown.process.returncode == 70
            assert f"{on.database} is damaged" in shown.said
            assert "Traceback" not in shown.said
        assert on.run("show", runs[2]).process.returncode == 0
        examined = on.run("doctor")
        assert examined.process.returncode == 1
        assert "2 of " in examined.said
        assert "rows are damaged" in examined.said
        on.server()
        answers = [on.api.get(f"/runs/{run_id}").status_code for run_id in runs.values()]
        assert answers == [503, 503, 200]
        assert on.ended(on.trigger("sums", "more", first=1, width=WIDTH))["status"] == "SUCCEEDED"


@pytest.mark.slow
def test_a_payload_that_was_overwritten_is_noticed(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        server = on.server()
        run_id = on.trigger("large", "large", size=200_000)
        assert on.ended(run_id)["status"] == "SUCCEEDED"
        [payload] = [path for path in Path(f"{on.database}.blobs").rglob("*") if path.is_file()]
        content = bytearray(payload.read_bytes())
        content[5_000:5_100] = bytes(100)
        payload.write_bytes(content)

        assert on.api.get(f"/runs/{run_id}/states").status_code == 503
        server.until_said("is damaged; put it back from a backup")
        shutil.rmtree(f"{on.database}.blobs")
        examined = on.run("doctor")
        assert examined.process.returncode == 1
        assert "1 of 1 large payloads are not in" in examined.said


READ_ONLY = (
    "cannot be (written; check who owns the file|opened; check that its directory exists and that you may)"
)


@pytest.fixture
def read_only(tmp_path: Path) -> Callable[[Path], None]:
    """A way to make a folder read-only, also for root."""

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            folder.chmod(0o555)
            for file in folder.iterdir():
                file.chmod(0o444)
            return
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        if subprocess.run(["mount", "--bind", str(folder), str(folder)], check=False).returncode:
            pytest.skip("neither permissions nor mounts keep this user from writing")
        subprocess.run(remount, check=True)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["dev", "{module}"], ["worker", "{module}"], ["runs"], ["trigger", "sums"]]
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, read_only: Callable[[Path], None], command: list[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with stage(tmp_path) as on:
        on.database = folder / "runs.db"
        EmbeddedBackend.open(on.database, clock=SystemClock(), entropy=SystemEntropy()).close()
        read_only(folder)
        try:
            refused = on.run(*(word.format(module=on.module) for word in command))
        finally:
            subprocess.run(["umount", str(folder)], check=False, capture_output=True)
            folder.chmod(0o755)
    assert refused.process.returncode == 70, refused.said
    assert f"error: {on.database} " in refused.said
    assert re.search(READ_ONLY, refused.said), refused.said
    assert "Traceback" not in refused.said


@pytest.mark.slow
def test_a_file_that_another_process_keeps_locked(tmp_path: Path, figures: Callable[[str], None]) -> None:
    """Longer than a call waits and than a lease: it is said, and everything goes on when the lock is gone."""
    with stage(tmp_path) as on:
        server = on.server()
        worker = on.worker()
        store = {"folder": str(on.folder), "pause": 1}
        under_way = on.acknowledged("sums", "a", {"inputs": {"first": 1, "width": WIDTH}, "store": store})
        holder = sqlite3.connect(on.database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            wait_until(lambda: "keeps" in worker.said and "keeps" in server.said, "nothing was said")
            refused = on.run(
                "trigger", "sums", "-i", "first=1", "-i", "width=1", "--store", f"folder={on.folder}"
            )
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        locked = time.monotonic() - began
        assert refused.process.returncode == 75
        assert f"error: another process keeps {on.database} locked" in refused.said
        assert on.ended(under_way)["result"] == {"result": expected(1)}
        after = on.trigger("sums", "b", first=2, width=WIDTH)
        assert on.ended(after)["result"] == {"result": expected(2)}
        assert [server.process.poll(), worker.process.poll()] == [None, None]
    figures(f"locked for {locked:.0f} s; what was under way and what came after ended right")
