"""Which files to digest, and what they say.

Nothing outside the folder is read: links to folders are not entered, links to files only where they stay inside.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

TEXT_PATTERNS = ("*.md", "*.markdown", "*.txt", "*.rst", "*.html", "*.htm", "*.py")
MAX_BYTES = 50_000_000


class UnreadableDocument(Exception):
    """A file that is no text, or too much of it. The message is the reason, for the report."""


class Found(NamedTuple):
    """The files to digest, sorted, and those that fit but must not be read, with the reason."""

    files: list[Path]
    refused: dict[str, str]


def find(folder: Path, patterns: Sequence[str] = TEXT_PATTERNS, *, leave_out: Path | None = None) -> Found:
    """The files below `folder` whose name, or path in it, fits a pattern; without hidden ones and those in `leave_out`.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"there is no folder {folder}")
    found = Found([], {})
    for path in sorted(_walk(root, leave_out and leave_out.resolve())):
        if not _fits(path, root, patterns):
            continue
        if reason := _reason_to_refuse(path, root):
            found.refused[_printable(path.relative_to(root))] = reason
        else:
            found.files.append(path)
    return found


def _walk(root: Path, leave_out: Path | None) -> Iterator[Path]:
    for here, folders, names in os.walk(root, followlinks=False):
        # What is taken off this list is not entered.
        folders[:] = [name for name in folders if not name.startswith(".") and Path(here, name) != leave_out]
        yield from (Path(here, name) for name in names if not name.startswith("."))


def _fits(path: Path, root: Path, patterns: Iterable[str]) -> bool:
    inside = path.relative_to(root).as_posix()
    return any(fnmatch(path.name, pattern) or fnmatch(inside, pattern) for pattern in patterns)


def _reason_to_refuse(path: Path, root: Path) -> str | None:
    if _printable(path) != str(path):
        return "its name is not UTF-8"
    if not path.resolve().is_relative_to(root):
        return "a link that leads out of the folder"
    return None


def _printable(path: Path) -> str:
    """A path as text that can be written: names that are not UTF-8 hold what cannot."""
    return str(path).encode(errors="replace").decode()


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file: UTF-8, or UTF-16 where its first bytes say so.

    Raises:
        UnreadableDocument: it is missing, too large, binary, in another encoding, or empty.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UnreadableDocument(f"larger than {max_bytes:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(f"cannot be read: {error.strerror}") from error
    text = _decode(content)
    if not text.strip():
        raise UnreadableDocument("empty")
    return text


def _decode(content: bytes) -> str:
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableDocument("neither UTF-8 nor UTF-16 text") from error
    if "\0" in text:
        raise UnreadableDocument("binary, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
