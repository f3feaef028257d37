"""Writes a file so that a reader sees the old one or the new one, never a part, however often it is written."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replaces a file's content at once; its folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, since a file can be renamed in one go only within its file system.
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        unfinished = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            unfinished.chmod(0o644)  # temporary files are made for their owner alone
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
