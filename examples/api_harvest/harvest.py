"""Harvests a paginated API that throttles and fails, into one file that is known to be whole.

    python examples/api_harvest/server.py --seconds 120 &
    karman run examples/api_harvest/harvest.py --input out=build/records.jsonl

`index` walks the pages of ids by a cursor that it keeps in the run's store, one page a turn; `batches` opens a branch
for each batch of ids, and `fetch` gets its records; `combine` unites them, checks their number and checksum, and writes
the file. Being throttled is no failure (`RequeueAfter`), failing is one (the retry policy).
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel

from karman import Context, Graph, Node, NonRetryable, RequeueAfter, Retry, node

from .client import Throttled, get_json

BATCH = 10
PAUSE_SECONDS = 1
"""Between two pages of the index. Meanwhile the state occupies no worker."""


class IncompleteHarvest(NonRetryable):
    """What was fetched is not what the API said it has."""


class Record(BaseModel):
    """A record of the API."""

    id: int
    city: str
    celsius: float


class WalkIndex(Node):
    """Collects the ids of all records, page by page."""

    class Inputs(BaseModel):
        """Where the API is, and the file to write."""

        base_url: str = "http://127.0.0.1:8765"
        out: Path = Path("records.jsonl")

    class Outputs(Inputs):
        """The same, the ids, and what the API says about the whole."""

        ids: list[int]
        total: int
        sha256: str

    def execute(self) -> Outputs:
        store = self.ctx.store
        cursor = store.get_sync("cursor")
        query = f"?{urlencode({'cursor': cursor})}" if cursor else ""
        page = ask(f"{self.inputs.base_url}/index{query}", self.ctx)
        store.increment("pages")
        store.append("ids_of_pages", page["ids"])
        if page["next"] is not None:
            # The writes take effect with the requeue, all or none: a worker that dies costs one page, and no page is
            # ever in the list twice.
            store.set("cursor", page["next"])
            raise RequeueAfter(PAUSE_SECONDS)
        return self.Outputs(
            base_url=self.inputs.base_url,
            out=self.inputs.out.absolute(),
            ids=[number for ids in store.get_sync("ids_of_pages") for number in ids],
            total=page["total"],
            sha256=page["sha256"],
        )


class Batch(BaseModel):
    """Ids to fetch with one request."""

    ids: list[int]


@node
def batches(ids: list[int]) -> list[Batch]:
    """Cuts the ids into batches; each is a branch of its own from here on."""
    # At least one: after an empty list the branch would go on once, without the ids that `fetch` reads.
    return [Batch(ids=ids[start : start + BATCH]) for start in range(0, len(ids) or 1, BATCH)]


class FetchBatch(Node):
    """Gets the records of a batch."""

    class Inputs(BaseModel):
        """Where, and which."""

        base_url: str
        ids: list[int]

    class Outputs(BaseModel):
        """The records."""

        records: list[Record]

    def execute(self) -> Outputs:
        if not self.inputs.ids:
            return self.Outputs(records=[])
        query = urlencode({"ids": ",".join(map(str, self.inputs.ids))}, safe=",")
        answer = self.Outputs.model_validate(ask(f"{self.inputs.base_url}/records?{query}", self.ctx))
        self.ctx.store.increment("fetched", len(answer.records))
        return answer


class CombineBatches(Node):
    """Unites the batches: one line a record, by id, if they are all there and as the API has them."""

    class Inputs(BaseModel):
        """The batches, what they should add up to, what was counted on the way, and the file to write."""

        batches: list[list[Record]]
        total: int
        sha256: str
        fetched: int
        throttled: int
        out: Path

    class Outputs(BaseModel):
        """What was written, and how often the API asked for a pause."""

        path: Path
        records: int
        sha256: str
        throttled: int

    def execute(self) -> Outputs:
        asked = self.inputs
        records = sorted(
            (record for batch in asked.batches for record in batch), key=lambda record: record.id
        )
        text = as_lines(records)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        different = len({record.id for record in records})
        # `fetched` was counted in the store by each state once, however often it was attempted.
        if not asked.total == asked.fetched == len(records) == different:
            raise IncompleteHarvest(
                f"{asked.total} records were promised; {asked.fetched} were fetched, {different} are different"
            )
        if sha256 != asked.sha256:
            raise IncompleteHarvest(f"the checksum is {sha256}, the API's {asked.sha256}")
        replace_file(asked.out, text)
        return self.Outputs(path=asked.out, records=len(records), sha256=sha256, throttled=asked.throttled)


def ask(url: str, ctx: Context) -> Any:  # noqa: ANN401 - JSON
    """The API's answer. When it is throttled, the state is put back for as long as the API asks for."""
    try:
        return get_json(url)
    except Throttled as busy:
        ctx.store.increment("throttled")
        raise RequeueAfter(busy.seconds) from busy


def as_lines(records: Sequence[Record]) -> str:
    """JSON lines in the form that the API's checksum is made of: keys sorted, no spaces."""
    lines = (
        json.dumps(record.model_dump(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        for record in records
    )
    return "".join(f"{line}\n" for line in lines)


def replace_file(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as unfinished:
        unfinished.write(text)
    Path(unfinished.name).replace(path)


graph = Graph(
    "api_harvest",
    description="All records of a paginated API that throttles and fails, once each",
    retry=Retry.exponential(6, first=1, jitter="full", max_delay=5),
    store_defaults={"cursor": None, "ids_of_pages": [], "pages": 0, "fetched": 0, "throttled": 0},
)
index = graph.add(WalkIndex, "index")
cut = graph.add(batches, "batches", ids=index.outputs.ids)
fetch = graph.add(FetchBatch, "fetch", base_url=index.outputs.base_url, ids=cut.outputs.ids)
combine = graph.add(
    CombineBatches,
    "combine",
    unites=cut,
    batches=fetch.outputs.records,  # inside the group: a list, one a batch
    total=index.outputs.total,
    sha256=index.outputs.sha256,
    fetched=graph.store.fetched,
    throttled=graph.store.throttled,
    out=index.outputs.out,
)

index >> cut >> fetch >> combine
