"""Every route with a good request, of a world with a graph `g`, runs and a key; the tests about all routes share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.api.client import DEFINITION, NS, Api


@dataclass(frozen=True, slots=True)
class Call:
    """A request; `{run}`, `{state}` and `{key}` in it are filled in."""

    operation: str
    method: str
    path: str
    scope: str
    status: int = 200
    body: Any = None
    also: str | None = None

    def __str__(self) -> str:
        return self.operation


HOOK = "https://hooks.example.com/in"
NODES = {"runtime": "rt", "nodes": [{"name": "b"}]}

CALLS = (
    Call("get_namespace", "GET", "", "read"),
    Call("create_namespace", "PUT", "", "admin"),
    Call("register_nodes", "PUT", "/nodes", "worker", body=NODES),
    Call("list_nodes", "GET", "/nodes", "read"),
    Call("get_node", "GET", "/nodes/a", "read"),
    Call("put_graph", "PUT", "/graphs/h", "admin", body={"definition": DEFINITION}),
    Call("list_graphs", "GET", "/graphs", "read"),
    Call("get_graph", "GET", "/graphs/g", "read"),
    Call("list_versions", "GET", "/graphs/g/versions", "read"),
    Call("delete_graph", "DELETE", "/graphs/g", "admin", 204),
    Call("start_run", "POST", "/graphs/g/runs", "trigger", 201, {"inputs": {}}),
    Call("list_runs", "GET", "/runs", "read"),
    Call("get_run", "GET", "/runs/{run}", "read"),
    Call("watch_run", "GET", "/runs/{run}/events", "read"),
    Call("get_statistics", "GET", "/statistics", "read"),
    Call("cancel_run", "POST", "/runs/{run}/cancel", "trigger"),
    Call("pause_run", "POST", "/runs/{run}/pause", "trigger"),
    Call("resume_run", "POST", "/runs/{run}/resume", "trigger"),
    Call("retry_run", "POST", "/runs/{failed}/retry", "trigger"),
    Call("rerun_run", "POST", "/runs/{run}/rerun", "trigger", 201, {"from": "a"}),
    Call("operate_runs", "POST", "/runs/bulk", "trigger", body={"action": "cancel"}),
    Call("list_states", "GET", "/runs/{run}/states", "read"),
    Call("get_state", "GET", "/runs/{run}/states/{run}--0", "read"),
    Call("retry_state", "POST", "/runs/{failed}/states/{failed}--0/retry", "trigger"),
    Call("skip_state", "POST", "/runs/{failed}/states/{failed}--0/skip", "trigger", body={"outputs": {}}),
    Call("redrive_run", "POST", "/runs/{run}/redrive", "trigger"),
    Call("purge_run", "DELETE", "/runs/{failed}", "admin"),
    Call("list_groups", "GET", "/runs/{fan}/groups", "read"),
    Call("get_group", "GET", "/runs/{fan}/groups/{fan}--0", "read"),
    Call("read_store", "GET", "/runs/{run}/store", "read", also="worker"),
    Call("list_awaited", "GET", "/runs/{run}/signals", "read"),
    Call("send_signal", "POST", "/runs/{run}/signals", "trigger", 202, {"name": "go"}),
    Call("list_triggers", "GET", "/triggers", "read"),
    Call("list_graph_triggers", "GET", "/graphs/g/triggers", "read"),
    Call("fire_trigger", "POST", "/graphs/g/triggers/cron-0/fire", "trigger", 201),
    Call("enable_trigger", "POST", "/graphs/g/triggers/cron-0/enable", "admin"),
    Call("disable_trigger", "POST", "/graphs/g/triggers/cron-0/disable", "admin"),
    Call("reconcile_triggers", "POST", "/triggers/reconcile", "admin", body={}),
    Call("poll_work", "POST", "/work/poll", "worker", body={"nodes": ["a"]}),
    Call("extend_lease", "POST", "/work/{state}/heartbeat", "worker", body={"lease": "{lease}"}),
    Call("release_lease", "POST", "/work/{state}/release", "worker", body={"lease": "{lease}"}),
    Call("report_outputs", "POST", "/work/{state}/outputs", "worker", body={"outputs": [{}]}),
    Call("report_error", "POST", "/work/{state}/error", "worker", body={"kind": "Oops"}),
    Call("report_prune", "POST", "/work/{state}/prune", "worker", body={"data": {}}),
    Call("report_requeue", "POST", "/work/{state}/requeue", "worker", body={"delay_ms": 1}),
    Call("report_wait", "POST", "/work/{state}/wait", "worker", body={"signal": "go"}),
    Call("list_keys", "GET", "/keys", "admin"),
    Call("issue_key", "POST", "/keys", "admin", 201, {"name": "k", "scopes": ["read"]}),
    Call("revoke_key", "DELETE", "/keys/{key}", "admin", 204),
    Call("rotate_key", "POST", "/keys/{key}/rotate", "admin"),
    Call("list_webhooks", "GET", "/webhooks", "admin"),
    Call("create_webhook", "POST", "/webhooks", "admin", 201, {"url": HOOK}),
    Call("get_webhook", "GET", "/webhooks/{webhook}", "admin"),
    Call("update_webhook", "PATCH", "/webhooks/{webhook}", "admin", body={"enabled": True}),
    Call("delete_webhook", "DELETE", "/webhooks/{webhook}", "admin", 204),
    Call("rotate_webhook", "POST", "/webhooks/{webhook}/rotate", "admin"),
    Call("test_webhook", "POST", "/webhooks/{webhook}/test", "admin"),
    Call("list_deliveries", "GET", "/webhooks/{webhook}/deliveries", "admin"),
    Call("retry_delivery", "POST", "/webhooks/{webhook}/deliveries/{delivery}/retry", "admin"),
    Call("get_quotas", "GET", "/quotas", "read"),
    Call("list_audit", "GET", "/audit", "admin"),
)


@dataclass(frozen=True, slots=True)
class World:
    """Names of what is there."""

    run: str
    failed: str
    state: str
    lease: str
    key: str
    fan: str = "r0"
    webhook: str = "w0"
    delivery: str = "000000000000000-e0"

    def path(self, call: Call) -> str:
        """The call's path."""
        names = {
            "run": self.run,
            "failed": self.failed,
            "fan": self.fan,
            "state": self.state,
            "key": self.key,
            "webhook": self.webhook,
            "delivery": self.delivery,
        }
        return call.path.format(**names)

    def body(self, call: Call) -> Any:
        """The call's body."""
        return {"lease": self.lease} if call.body == {"lease": "{lease}"} else call.body


async def prepare(api: Api, namespace: str = NS) -> World:
    """A graph, a run that has failed, one that goes on with its state leased, one with a group, a key, a webhook."""
    base = f"/v1/namespaces/{namespace}"
    await api.graph(namespace)
    failed = await api.run(namespace)
    ended = await api.work(namespace)
    report = {"kind": "Oops", "message": "no", "lease": ended["lease"]}
    assert (await api.call("POST", f"{base}/work/{ended['state_id']}/error", report)).status == 200
    run = await api.run(namespace)
    work = await api.work(namespace)
    assert work["run_id"] == run
    await api.key("read", namespace=namespace)
    (key,) = (await api.call("GET", f"{base}/keys")).body["keys"]
    webhook = (await api.call("POST", f"{base}/webhooks", {"url": HOOK})).body["id"]
    delivery = (await api.call("POST", f"{base}/webhooks/{webhook}/test")).body["id"]
    fan = await fan_out(api, namespace)
    return World(run, failed, work["state_id"], work["lease"], key["id"], fan, webhook, delivery)


async def fan_out(api: Api, namespace: str = NS, branches: int = 2) -> str:
    """A run whose first state has opened a group, which goes on: nobody works on its branches."""
    base = f"/v1/namespaces/{namespace}"
    registered = {"runtime": "rt", "nodes": [{"name": "f"}, {"name": "f2"}]}
    assert (await api.call("PUT", f"{base}/nodes", registered)).status == 200
    nodes = [
        {"identifier": "f", "node_name": "f", "next_nodes": ["b"]},
        {"identifier": "b", "node_name": "f2", "next_nodes": ["u"]},
        {"identifier": "u", "node_name": "f2", "unites": {"identifier": "f"}},
    ]
    stored = await api.call("PUT", f"{base}/graphs/fan", {"definition": {"nodes": nodes}})
    assert stored.body["valid"], stored.text
    run = str((await api.call("POST", f"{base}/graphs/fan/runs", {})).body["run_id"])
    polled = await api.call("POST", f"{base}/work/poll", {"nodes": ["f"], "wait_seconds": 20})
    (work,) = polled.body["work"]
    report = {"outputs": [{}] * branches, "lease": work["lease"]}
    assert (await api.call("POST", f"{base}/work/{work['state_id']}/outputs", report)).status == 200
    return run
