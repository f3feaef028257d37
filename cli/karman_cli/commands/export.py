"""`karman export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", dir_okay=False, help="Write to this file, which only you can read."
    ),
]

_DEVICES = frozenset({Path("/dev"), Path("/dev/fd")})
"""What is there (/dev/stdout, `>(gzip)`) is written to; a file in its place would be the end of it."""


@operating
def export(session: Session, run: options.RunId, *, out: Out = None) -> None:
    """Write a whole run as JSON lines: header, graph, states with attempts, groups, store, awaited signals.

    A run that goes on is written as it stands while it is read. With --json and --out: what was written.
    """
    from karman_cli.output import note, print_document

    if out is None:
        session.run(lambda connection: _write(connection, run, sys.stdout))
        return
    count = session.run(lambda connection: _to_file(connection, run, out))
    if session.as_json:
        print_document({"run_id": run, "file": out, "lines": count})
    else:
        note(f"{count:,} lines of run {run} in {out}")


async def _to_file(connection: Connection, run: str, out: Path) -> int:
    """Write the file, or to a device. Raises Unavailable for what cannot be written."""
    from karman_core.domain.errors import Unavailable

    try:
        if _is_device(out):
            with out.open("w", encoding="utf-8") as device:
                return await _write(connection, run, device)
        return await _through_another(connection, run, out)
    except OSError as error:
        raise Unavailable(
            f"{out} cannot be written: {error.strerror}; check the folder, and the disk"
        ) from error


def _is_device(out: Path) -> bool:
    return out.absolute().parent in _DEVICES


async def _through_another(connection: Connection, run: str, out: Path) -> int:
    """A file beside it takes its place when it is whole."""
    part = _beside(out)
    try:
        with part.open("w", encoding="utf-8") as file:
            count = await _write(connection, run, file)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return count


def _beside(out: Path) -> Path:
    """An empty file under a name that nobody knows before: one that is there might be a link, or open to others."""
    import os
    import tempfile

    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name[:100]}.", suffix=".part")
    os.close(handle)
    return Path(name)


async def _write(connection: Connection, run: str, file: TextIO) -> int:
    from karman_cli.exporting import lines
    from karman_cli.output import json_line

    count = 0
    async for line in lines(connection, run):
        file.write(f"{json_line(line)}\n")
        count += 1
    file.flush()
    return count
