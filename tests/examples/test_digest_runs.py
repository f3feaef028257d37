"""The digest as a whole: over folders that are made here, on the embedded backend."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.document_digest.digest import graph
from karman.testing import RunResult, crash, fail, run

FILES = {
    "cats.md": "# Cats\n\nCats sleep all day. Cats purr.\n\n## Food\n\nA cat eats fish.\n",
    "dogs.txt": "Dogs bark. Dogs eat meat.",
    "sub/fish.rst": "Fish\n====\n\nFish swim. Cats like fish.\n",
    "sub/tool.py": '"""Feeds fish."""\n\n\ndef feed():\n    """Gives food to fish."""\n',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def digest(folder: Path, **options: Any) -> tuple[RunResult, dict[str, Any]]:
    """The run, and the report that it wrote."""
    settings = {key: options.pop(key) for key in ("failures", "deliveries") if key in options}
    out = folder.parent / "report"
    result = run(graph, {"folder": str(folder), "out": str(out), **options}, **settings)
    result.assert_succeeded()
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
    return result, json.loads((out / "report.json").read_text(encoding="utf-8"))


def test_the_numbers_are_right(folder: Path) -> None:
    result, report = digest(folder)

    by_path = {document["path"]: document for document in report["documents"]}
    assert list(by_path) == ["cats.md", "dogs.txt", "sub/fish.rst", "sub/tool.py"]
    # Headings are sentences, too: Cats. / Cats sleep all day. / Cats purr. // Food. / A cat eats fish.
    assert by_path["cats.md"]["measures"] | {"characters": 0} == {
        "characters": 0,
        "words": 12,
        "sentences": 5,
        "syllables": 12,
        "latin_words": 12,
    }
    assert by_path["cats.md"]["reading_ease"] == round(206.835 - 1.015 * 12 / 5 - 84.6, 1)
    assert by_path["cats.md"]["sections"] == 2
    assert [keyword["term"] for keyword in by_path["dogs.txt"]["keywords"]] == ["dogs", "bark", "meat", "eat"]
    assert by_path["dogs.txt"]["nearest"]["path"] == "cats.md"  # they eat
    assert by_path["sub/tool.py"]["nearest"]["path"] == "sub/fish.rst"
    totals = report["totals"]
    assert totals["documents"] == 4
    assert totals["measures"]["words"] == sum(each["measures"]["words"] for each in report["documents"]) == 30
    assert result.outputs["words"] == 30


def test_each_document_and_section_is_a_branch(folder: Path) -> None:
    result, _ = digest(folder)

    assert [
        result.executions(name) for name in ("listing", "split", "analyse", "document", "collection")
    ] == [
        1,
        4,
        6,
        4,
        1,
    ]


def test_what_cannot_be_read_is_pruned_and_named(folder: Path) -> None:
    (folder / "binary.txt").write_bytes(b"GIF\x00\x01")
    (folder / "latin.txt").write_bytes("größe".encode("latin-1"))
    (folder / "empty.md").touch()
    (folder / "rule.md").write_text("***\n")
    secret = folder.parent / "secret.md"
    secret.write_text("secret words")
    (folder / "link.md").symlink_to(secret)

    result, report = digest(folder)

    assert {skipped["path"]: skipped["reason"] for skipped in report["skipped"]} == {
        "binary.txt": "binary, not text",
        "empty.md": "empty",
        "latin.txt": "neither UTF-8 nor UTF-16 text",
        "link.md": "a link that leads out of the folder",
        "rule.md": "no words in it",
    }
    assert report["totals"]["documents"] == 4
    assert report["totals"]["skipped"] == result.outputs["skipped"] == 5
    assert sum(state.status == "PRUNED" for state in result.states("split")) == 4


def test_again_it_is_the_same_report_to_the_byte(folder: Path) -> None:
    digest(folder)
    first = {path.name: path.read_bytes() for path in (folder.parent / "report").iterdir()}

    digest(folder)

    assert {path.name: path.read_bytes() for path in (folder.parent / "report").iterdir()} == first


def test_crashes_failures_and_repeated_messages_change_nothing(folder: Path) -> None:
    (folder / "binary.txt").write_bytes(b"\x00")
    _, undisturbed = digest(folder)

    _, disturbed = digest(
        folder,
        deliveries=2,
        failures=[
            fail("split", after=True),
            crash("analyse", after=True),
            crash("document"),
            fail("collection", times=2),
            crash("write", after=True),
        ],
    )

    assert disturbed == undisturbed


def test_a_report_inside_the_folder_is_not_digested(folder: Path) -> None:
    out = folder / "report"
    out.mkdir()
    (out / "report.html").write_text("<p>An old report.")

    result = run(graph, {"folder": str(folder), "out": str(out)}).assert_succeeded()

    assert result.outputs["documents"] == 4


def test_patterns_and_a_limit(folder: Path) -> None:
    result, report = digest(folder, patterns=["*.md", "sub/*"], max_files=2)

    assert [document["path"] for document in report["documents"]] == ["cats.md", "sub/fish.rst"]
    assert report["totals"]["left_out"] == 1
    assert "1 more file, beyond the limit" in Path(result.outputs["html"]).read_text(encoding="utf-8")


def test_files_by_name(folder: Path) -> None:
    files = [str(folder / "dogs.txt"), str(folder / "missing.md")]

    result = run(graph, {"files": files, "out": str(folder.parent / "out")}).assert_succeeded()

    report = json.loads(Path(result.outputs["json_file"]).read_text())
    assert [document["path"] for document in report["documents"]] == [files[0]]
    assert report["skipped"] == [{"path": files[1], "reason": "cannot be read: No such file or directory"}]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"folder": "{tmp}/none"}, "nothing to digest: there is no folder"),
        ({"folder": "{tmp}/empty"}, "nothing to digest: no file in {tmp}/empty fits *.md, *.markdown"),
        (
            {"folder": "{tmp}/unreadable"},
            "nothing to digest: no document can be read (x.txt: binary, not text)",
        ),
        ({}, "nothing to digest: give a folder, or a list of files"),
        ({"folder": "{tmp}/empty", "files": ["x"]}, "nothing to digest: give a folder, or a list of files"),
    ],
)
def test_with_nothing_to_digest_it_fails_at_once_and_says_why(
    tmp_path: Path, inputs: dict[str, Any], reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "x.txt").write_bytes(b"\x00")
    if "folder" in inputs:
        inputs = {**inputs, "folder": inputs["folder"].format(tmp=tmp_path)}

    result = run(graph, {**inputs, "out": str(tmp_path / "out")})

    result.assert_failed(reason.format(tmp=tmp_path))
    assert result.elapsed == 0  # no attempt was worth repeating


def test_unicode_and_hostile_content(folder: Path) -> None:
    (folder / "<img src=x onerror=alert(1)>.md").write_text(
        "# <script>alert(1)</script>\n\nKatzen schlafen. 猫は眠る。"
    )

    result, report = digest(folder)

    page = Path(result.outputs["html"]).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "猫は眠る" in {k["term"] for d in report["documents"] for k in d["keywords"]}


def test_a_large_file_becomes_many_sections(folder: Path) -> None:
    (folder / "large.txt").write_text("All work and no play makes Jack a dull boy.\n\n" * 40_000)

    result, report = digest(folder)

    (large,) = (document for document in report["documents"] if document["path"] == "large.txt")
    assert large["measures"]["words"] == 400_000
    assert large["measures"]["sentences"] == 40_000
    assert large["sections"] == result.executions("analyse") - 6 > 80
