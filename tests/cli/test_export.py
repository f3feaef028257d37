"""`karman export`: the whole run, from a file and from a server."""

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


def test_a_run_that_is_none_leaves_no_file(place: Place, empty_folder: Path) -> None:
    output = place("export", "nothing", "--out", "run.jsonl")

    assert output.code == 2
    assert not list(empty_folder.glob("run.jsonl*"))
    assert karman("export", "--help").code == 0
