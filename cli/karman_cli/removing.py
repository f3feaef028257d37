"""After `karman destroy`: what was made at run time goes too, and the files that `karman deploy` wrote."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from karman_cli.deploying import FOLDER
from karman_cli.output import note
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.leftovers import (
    Leftovers,
    find_leftovers,
    remove_queues,
    remove_secrets,
)
from karman_core.backends.aws.names import deployment_prefix, schedule_group
from karman_core.backends.aws.settings import AwsSettings
from karman_runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Removal:
    """Takes away what a stage left behind.

    Attributes:
        yes: without asking.
        keep_secrets: whatever is answered.
    """

    stage: str
    yes: bool
    keep_secrets: bool

    def run(self) -> None:
        """Find, ask, delete. Raises KarmanError where AWS cannot be asked."""
        prefix = deployment_prefix(self.stage)
        told = load_settings()
        settings = AwsSettings(
            prefix,
            prefix=prefix,
            schedule_group=schedule_group(prefix),
            region=told.region,
            endpoint=told.endpoint,
        )
        clients = AwsClients(settings)
        try:
            left = asyncio.run(find_leftovers(clients))
            if left.stands:
                note(f"the deployment {prefix} still stands; its secrets and queues stay")
                return
            self._remove(clients, left)
        finally:
            clients.close()
        if not left.keeps_table:
            for kind in ("env", "outputs.json"):
                (FOLDER / f"{self.stage}.{kind}").unlink(missing_ok=True)

    def _remove(self, clients: AwsClients, left: Leftovers) -> None:
        if left.queues:
            self._offer("queues", left.queues, lambda: remove_queues(clients, left.queues))
        if not left.secrets:
            return
        if self.keep_secrets or left.keeps_table:
            why = "as you wished" if self.keep_secrets else "since the table was kept, whose graphs need them"
            note(f"secrets that stay in Parameter Store, {why}: {len(left.secrets):,}")
            return
        self._offer("secrets", left.secrets, lambda: remove_secrets(clients, left.secrets))

    def _offer(
        self, what: str, names: Sequence[str], remove: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Delete them, if that is wanted."""
        note(f"{what} that no stack knows of: {len(names):,}")
        for name in names[:_SHOWN]:
            note(f"  {name}")
        if len(names) > _SHOWN:
            note(f"  and {len(names) - _SHOWN:,} more")
        if not self._wanted(what):
            note("they stay; `karman destroy --yes` deletes them, also when the stacks are gone")
            return
        asyncio.run(remove())
        note("deleted")

    def _wanted(self, what: str) -> bool:
        if self.yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return typer.confirm(f"Delete these {what}?", err=True)
