"""Which database file a command works on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from karman_core.domain.errors import InvalidRequest, NotFound
from karman_runtime.settings import Settings, load_settings

USUAL = Path(".karman") / "karman.db"


def local_settings() -> Settings:
    """The settings of a command that works on this machine alone. Raises InvalidRequest."""
    settings = load_settings()
    if settings.backend != "embedded":
        raise InvalidRequest("This command works on a database of this machine; unset KARMAN_BACKEND.")
    return settings


def existing_database(given: Path | None, settings: Settings) -> Path:
    """The database of a command that needs one. Raises NotFound."""
    path = given or settings.db or USUAL
    if path.is_file():
        return path
    raise NotFound(
        f"There is no database {path}; name one with --db FILE or KARMAN_DB. `karman dev` and `karman run --db FILE` "
        "make one."
    )


def new_database(given: Path | None, settings: Settings) -> Path:
    """The database of a command that makes one where there is none; its folder is made too."""
    path = given or settings.db or USUAL
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def run_database(given: Path | None, settings: Settings) -> Iterator[tuple[Path, bool]]:
    """The database of `karman run`, and whether it stays: without one that is named, a temporary one."""
    if given or settings.db:
        yield new_database(given, settings), True
        return
    with tempfile.TemporaryDirectory(prefix="karman-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "karman.db", False
