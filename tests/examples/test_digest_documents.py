import os
from pathlib import Path

import pytest

from examples.document_digest.documents import UnreadableDocument, find, read


def names(folder: Path, leave_out: Path | None = None) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find(folder, leave_out=leave_out).files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "b.md").write_text("# B")
    (inside / "a.txt").write_text("A")
    (inside / "sub" / "c.rst").write_text("C")
    (inside / "picture.png").write_bytes(b"\x89PNG")
    return inside


def test_files_are_found_in_order_by_their_names(folder: Path) -> None:
    assert names(folder) == ["a.txt", "b.md", "sub/c.rst"]


def test_patterns_fit_the_name_or_the_path(folder: Path) -> None:
    assert [path.name for path in find(folder, ["*.md"]).files] == ["b.md"]
    assert [path.name for path in find(folder, ["sub/*"]).files] == ["c.rst"]
    assert find(folder, ["*.docx"]) == ([], {})


def test_hidden_files_and_the_output_are_left_out(folder: Path) -> None:
    for hidden in (folder / ".git", folder / "report"):
        hidden.mkdir()
        (hidden / "x.md").write_text("x")
    (folder / ".hidden.md").write_text("x")

    assert names(folder, leave_out=folder / "report") == ["a.txt", "b.md", "sub/c.rst"]


def test_links_that_lead_out_are_not_followed(folder: Path) -> None:
    secret = folder.parent / "secret.md"
    secret.write_text("secret")
    (folder / "out.md").symlink_to(secret)
    (folder / "outer").symlink_to(folder.parent, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "in.md").symlink_to(folder / "b.md")

    found = find(folder)

    assert [path.name for path in found.files] == ["a.txt", "b.md", "in.md", "c.rst"]
    assert found.refused == {"out.md": "a link that leads out of the folder"}


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes no such names")

    assert find(folder).refused == {"?.md": "its name is not UTF-8"}


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="there is no folder"):
        find(tmp_path / "missing")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\r\nold\rmac", "plain\nold\nmac"),
        ("größe 日本".encode(), "größe 日本"),
        ("\ufeffwith mark".encode(), "with mark"),
        ("größe".encode("utf-16"), "größe"),
    ],
)
def test_text_is_read(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)

    assert read(path) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"GIF89a\x00\x01", "binary"),
        ("größe".encode("latin-1"), "neither UTF-8 nor UTF-16"),
        (b"x" * 101, "larger than 100 bytes"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)

    with pytest.raises(UnreadableDocument, match=reason):
        read(path, max_bytes=100)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="cannot be read: No such file"):
        read(tmp_path / "x.txt")
