"""Entries of runs by their tags: what lists by tag read. One item for each tag of a run; runs without tags pay nothing.

Entries are written before the header says the same, so that a crash between the two loses none: the message comes back
and writes both. An entry whose header never came, or came otherwise, is passed over by lists.
"""

from __future__ import annotations

from collections.abc import Mapping

from karman_core.domain.graph import Graph
from karman_core.domain.messages import RunRef
from karman_core.domain.tags import tag_text
from karman_core.engine import keys
from karman_core.engine.results import Results
from karman_core.engine.run_items import Header
from karman_core.engine.services import Services


class RunTags:
    """Finds the tags of runs, and writes their entries."""

    def __init__(self, services: Services, results: Results) -> None:
        self._services = services
        self._results = results

    async def note(self, header: Header, tags: Mapping[str, str]) -> None:
        """Write the entries of tags; durable on return."""
        run, ttl = header.run, self._services.ttl()
        order = keys.order(header.created_ms, run.run_id)
        entries = [
            {"pk": keys.tagged(run.namespace, name, value), "sk": order, "ttl": ttl}
            for name, value in tags.items()
        ]
        if entries:
            await self._services.backend.table.batch_write(entries)

    async def keep(self, header: Header) -> None:
        """Have the entries of a run that has ended live as long as its header; those of a short one do anyway."""
        if header.tags and (header.ended_ms or 0) - header.created_ms > keys.DAY_MS:
            await self.note(header, header.tags)

    async def at_end(self, graph: Graph, run: RunRef) -> dict[str, str]:
        """The tags that come from what a run gave, when all its branches have ended."""
        values = await self._results.reached(graph, run, graph.tags.outputs)
        texts = {name: tag_text(value) for name, value in values.items()}
        return {name: text for name, text in texts.items() if text is not None}
