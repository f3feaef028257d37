"""The secret port on SQLite: sealed values by scope and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from karman_core.backends.embedded.database import Database
from karman_core.backends.embedded.sealing import Seal

_SET = "INSERT OR REPLACE INTO secrets (scope, name, sealed) VALUES (?, ?, ?)"


class SQLiteSecrets:
    """All secrets of one file."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    async def put(self, scope: str, values: Mapping[str, str]) -> None:
        """Set or replace each value, all or none."""
        for name, value in values.items():
            _check(name, value)
        rows = [(scope, name, self._seal.close(scope, name, value)) for name, value in values.items()]
        with self._database.write() as connection:
            connection.executemany(_SET, rows)

    async def get(self, scope: str, names: Sequence[str]) -> dict[str, str]:
        """The values that exist among the names."""
        found: dict[str, bytes] = {}
        with self._database.read() as connection:
            for name in names:
                row = connection.execute(
                    "SELECT sealed FROM secrets WHERE scope = ? AND name = ?", (scope, name)
                ).fetchone()
                if row is not None:
                    found[name] = row[0]
        return {name: self._seal.open(scope, name, sealed) for name, sealed in found.items()}

    async def names(self, scope: str) -> list[str]:
        """The names in a scope, sorted."""
        with self._database.read() as connection:
            found = connection.execute("SELECT name FROM secrets WHERE scope = ? ORDER BY name", (scope,))
            return [name for (name,) in found]

    async def delete(self, scope: str, names: Sequence[str]) -> None:
        """Remove; no error for names that do not exist."""
        with self._database.write() as connection:
            connection.executemany(
                "DELETE FROM secrets WHERE scope = ? AND name = ?", [(scope, name) for name in names]
            )


def _check(name: str, value: object) -> None:
    """Refuse what is no text, without showing it: an error's text, arguments and attributes end up in logs."""
    if not isinstance(value, str):
        raise TypeError(f"the value of the secret {name!r} is a {type(value).__name__}, not text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"the value of the secret {name!r} is not valid Unicode")
