"""`karman export`: the whole run, from a file and from a server."""

import os
import stat
from pathlib import Path

from tests.cli.command_line import karman
from tests.cli.live import Live, Place, lines


def test_a_whole_run_is_exported(place: Place, empty_folder: Path) -> None:
    run = place.failed(empty_folder)
    output = place("export", run)

    assert output.code == 0
    found = lines(output.out)
    assert [line["kind"] for line in found[:2]] == ["header", "graph"]
    assert found[0]["run"]["run_id"] == run
    assert found[0]["run"]["status"] == "FAILED"
    assert found[1]["graph"]["version"] == found[0]["run"]["graph_version"]
    states = [line["state"] for line in found if line["kind"] == "state"]
    assert [state["identifier"] for state in states].count("each") == 5
    (failed,) = [state for state in states if state["status"] == "FAILED" and state["identifier"] == "each"]
    assert len(failed["attempts"]) == 2
    assert "three is broken" in str(failed["attempts"])
    (group,) = [line["group"] for line in found if line["kind"] == "group"]
    assert (group["width"], group["succeeded"], group["failed"]) == (5, 4, 1)
    assert {line["key"]: line["value"] for line in found if line["kind"] == "store"} == {
        "folder": str(empty_folder)
    }


def test_file_and_server_export_the_same(server: Live, empty_folder: Path) -> None:
    file, http = server.place("file"), server.place("server")
    run = file.failed(empty_folder)

    assert lines(file("export", run).out) == lines(http("export", run).out)


def test_a_file_is_written_whole_and_for_oneself(place: Place, empty_folder: Path) -> None:
    run = place.waiting()
    document = place.document("export", run, "--out", "run.jsonl")
    found = lines(Path("run.jsonl").read_text(encoding="utf-8"))
    place("cancel", run)

    assert document == {"run_id": run, "file": "run.jsonl", "lines": len(found)}
    assert found[-1] == {"kind": "signal", "name": "approve", "awaited": True}
    assert stat.S_IMODE(Path("run.jsonl").stat().st_mode) == 0o600
    assert [path.name for path in empty_folder.glob("run.jsonl*")] == ["run.jsonl"]


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(place: Place) -> None:
    run = place.waiting()
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as read_end:
        output = place("export", run, "--out", f"/dev/fd/{writer}")
        os.close(writer)
        found = lines(read_end.read())
    place("cancel", run)

    assert (output.code, output.err) == (0, f"{len(found)} lines of run {run} in /dev/fd/{writer}\n")
    assert found[0]["run"]["run_id"] == run


def test_a_folder_that_is_not_there_is_no_fault_of_karmans(place: Place) -> None:
    run = place.waiting()
    output = place("export", run, "--out", "nowhere/run.jsonl")
    place("cancel", run)

    assert output.code == 70
    assert output.err == (
        "error: nowhere/run.jsonl cannot be written: No such file or directory; check the folder, and the disk\n"
    )


def test_a_run_that_is_none_leaves_no_file(place: Place, empty_folder: Path) -> None:
    output = place("export", "nothing", "--out", "run.jsonl")

    assert output.code == 2
    assert not list(empty_folder.glob("run.jsonl*"))
    assert karman("export", "--help").code == 0
