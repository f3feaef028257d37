"""Graphs that are stored by Exosphere's routes are in the audit log too."""

from tests.exosphere.api import serving


async def test_a_graph_that_is_upserted_is_recorded() -> None:
    node = {"node_name": "Echo", "namespace": "ns", "identifier": "a", "inputs": {"text": "x"}}
    async with serving() as api:
        await api.ok("PUT", "/graph/new", {"secrets": {}, "nodes": [{**node, "next_nodes": []}]})
        (entry, *_) = (await api.ok("GET", "/v1/namespaces/ns/audit"))["entries"]

    assert (entry["action"], entry["target"], entry["by"]) == ("put_graph", "new", "key:admin")
