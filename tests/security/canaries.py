"""Secrets that are looked for wherever something was written, and how to look."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

CANARY = "canary-4f1d9c-of-a-graph"
PEM = """-----BEGIN CANARY-----
Q2FuYXJ5IGluIGEga2V5LCBsaW5lIG9uZQ
Q2FuYXJ5IGluIGEga2V5LCBsaW5lIHR3bw
-----END 'C' "K"-----
"""
SEEN = "not-a-secret-and-to-be-found"
"""In inputs, outputs and errors: who does not find it looks in the wrong places."""


def forms(secret: str) -> set[str]:
    """How a secret may be spelled. Its lines too, for one that has several."""
    lines = {line for line in secret.splitlines() if len(line) > 20}
    encoded = secret.encode()
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote_plus(secret),
        encoded.hex(),
        base64.b64encode(encoded).decode().rstrip("="),
        *lines,
    }


def quoted(text: str, secrets: dict[str, str]) -> set[str]:
    """The names of the secrets that a text holds."""
    return {name for name, secret in secrets.items() if any(form in text for form in forms(secret))}


def of_database(path: Path) -> Iterator[tuple[str, str]]:
    """Every value in every table, those that are compressed as they were."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                yield table, "\n".join(map(str, row))
                yield table, "\n".join(text for value in row for text in _unpacked(value))
    finally:
        connection.close()


def _unpacked(value: Any) -> Iterator[str]:
    """Texts inside of a value: what is compressed, and bytes in JSON."""
    if isinstance(value, bytes):
        yield _inflated(value)
    elif isinstance(value, str) and value.startswith(("{", "[")):
        yield from _inside(json.loads(value))


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"$b", "B"} and isinstance(item, str):
                yield _inflated(base64.b64decode(item))
            else:
                yield from _inside(item)
    elif isinstance(value, list):
        for item in value:
            yield from _inside(item)
    elif isinstance(value, str):
        yield value
        if value.startswith(("{", "[")):
            yield from _inside(json.loads(value))


def _inflated(data: bytes) -> str:
    try:
        return zlib.decompress(data).decode(errors="replace")
    except zlib.error:
        return data.decode(errors="replace")


def of_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder, and what is in the databases."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        yield path.name, data.decode("latin-1")
        yield path.name, _inflated(data)
        if data.startswith(b"SQLite format 3"):
            yield from of_database(path)


def of_request(body: Any) -> str:
    """The texts in the body of a request to AWS."""
    body = getattr(body, "_raw", body)  # what is sent in chunks, with its checksum
    body = body.getvalue() if isinstance(body, BytesIO) else body
    if isinstance(body, (bytes, bytearray)):
        return _inflated(bytes(body)) + "\n" + _json_texts(body.decode(errors="replace"))
    return _json_texts(str(body))


def _json_texts(text: str) -> str:
    try:
        return text + "\n" + "\n".join(_inside(json.loads(text)))
    except ValueError:
        return text
