"""The blocking client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self, overload

import httpx
from pydantic import BaseModel

from karman._internal.durations import Duration, to_seconds
from karman._internal.http.calls import Call, T
from karman._internal.http.configuration import configure
from karman._internal.http.control_client import ControlMethods
from karman._internal.http.exchange import DEFAULT_TIMEOUT_SECONDS, Exchange, Watch
from karman._internal.http.failures import Backoff, refused, result_of, unreachable
from karman._internal.http.overview_client import OverviewMethods
from karman._internal.http.results import Checked, Firings, GraphVersion, Health, Page
from karman._internal.http.routes import GraphLike, HasName, Routes, RunOptions, name_of
from karman._internal.http.webhook_client import WebhookMethods
from karman._internal.http.work_routes import WorkRoutes
from karman._internal.results import NodeOutcome
from karman_core.domain.definition import JSON, RegisteredNode
from karman_core.engine.access import IssuedKey, KeyView, Scope
from karman_core.engine.views import (
    GraphView,
    LeaseView,
    Registration,
    Released,
    Report,
    RunView,
    Started,
    StateView,
    Work,
)


class Client(OverviewMethods, ControlMethods, WebhookMethods):
    """Karman's HTTP API, blocking. `AsyncClient` has the same methods as coroutines.

        with Client("http://127.0.0.1:8700", api_key="...") as karman:
            run = karman.trigger("greeting", {"name": "Ada"}, wait=True)
            print(run.status, run.result)

    What is not given is taken from the environment (KARMAN_URL, KARMAN_API_KEY, KARMAN_NAMESPACE), then from the
    profile that `karman login` made. Safe for use by several threads.

    Requests that failed for a reason that may pass are sent again, if that can do no harm. Every method raises
    KarmanError: the class that the server named, Unavailable when it did not answer, UnexpectedAnswer when
    something else did.

    Args:
        profile: name of a profile; what it says then comes before the environment.
        auth: instead of an API key, such as `SigV4Auth()` for IAM.
        timeout_seconds: of one try, beside the time that it asks the server to wait.
        backoff: how often and when to try again.
        transport: of httpx, instead of the network.

    Raises:
        InvalidRequest: no URL is known, or something is malformed.
        NotFound: there is no profile of that name.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        namespace: str | None = None,
        profile: str | None = None,
        auth: httpx.Auth | None = None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        backoff: Backoff | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        found = configure(url, api_key=api_key, namespace=namespace, profile=profile, auth=auth)
        self._exchange = Exchange(found, timeout_seconds, backoff or Backoff())
        self._http = httpx.Client(auth=found.auth, transport=transport)
        self._routes = Routes(found.namespace)

    def __repr__(self) -> str:
        return f"Client({self.url!r}, namespace={self.namespace!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Of the server."""
        return self._exchange.configuration.url

    @property
    def namespace(self) -> str:
        """Whose graphs and runs these are."""
        return self._routes.namespace

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def health(self) -> Health:
        """That the server answers, and its version. Needs no key."""
        return self._send(self._routes.health())

    def nodes(self, *, page_size: int | None = None) -> Iterator[RegisteredNode]:
        """The registered nodes, by name."""
        return self._all(self._routes.nodes(page_size))

    def register_nodes(self, runtime: str, nodes: Sequence[RegisteredNode]) -> Registration:
        """Make or replace the nodes that a runtime runs; tells which graphs no longer fit them."""
        return self._send(WorkRoutes(self._routes).register(runtime, nodes))

    def node(self, name: str) -> RegisteredNode:
        """One registered node. Raises NotFound."""
        return self._send(self._routes.node(name))

    def put_graph(self, graph: GraphLike, *, secrets: Mapping[str, str] | None = None) -> GraphView:
        """Store a graph as its next version, unless it is what the current one says.

        A graph with problems is stored too, with `valid` False; it cannot be triggered.

        Args:
            secrets: values, which are kept apart and never shown.
        """
        return self._send(self._routes.put_graph(graph, secrets))

    def check_graph(self, graph: GraphLike) -> Checked:
        """What is wrong with a graph; nothing is stored."""
        return self._send(self._routes.check_graph(graph))

    def graphs(self, *, page_size: int | None = None) -> Iterator[str]:
        """The names of the graphs, sorted."""
        return self._all(self._routes.graphs(page_size))

    def graph(self, name: str, version: int | None = None) -> GraphView:
        """A version of a graph, by default the current one. Raises NotFound."""
        return self._send(self._routes.graph(name, version))

    def versions(self, name: str, *, page_size: int | None = None) -> Iterator[GraphVersion]:
        """The versions of a graph, newest first."""
        return self._all(self._routes.versions(name, page_size))

    @overload
    def trigger(
        self,
        graph: str | HasName,
        inputs: Mapping[str, object] | BaseModel | None = None,
        *,
        store: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        delay: Duration | None = None,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
        wait: Literal[False] = False,
    ) -> Started: ...

    @overload
    def trigger(
        self,
        graph: str | HasName,
        inputs: Mapping[str, object] | BaseModel | None = None,
        *,
        store: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        delay: Duration | None = None,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
        wait: Literal[True],
        wait_timeout: Duration | None = None,
        on_progress: Callable[[RunView], object] | None = None,
    ) -> RunView: ...

    def trigger(  # noqa: PLR0913 - options, named at the call
        self,
        graph: str | HasName,
        inputs: Mapping[str, object] | BaseModel | None = None,
        *,
        store: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        delay: Duration | None = None,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
        wait: bool = False,
        wait_timeout: Duration | None = None,
        on_progress: Callable[[RunView], object] | None = None,
    ) -> Started | RunView:
        """Begin a run of the graph's current version.

        Args:
            store: values for the run's store.
            delay: before it starts, as a timedelta or seconds.
            timeout: after which the run ends as TIMED_OUT.
            idempotency_key: the same key and request again finds the same run; by default one of this call, so that
                its retries begin one run.
            wait: give the run when it has ended, whether it succeeded or not, instead of its id at once.
            wait_timeout, on_progress: as of `wait`.
        """
        options = RunOptions(inputs, store, tags, delay, timeout)
        key = self._exchange.entropy.token() if idempotency_key is None else idempotency_key
        started = self._send(self._routes.trigger(name_of(graph), options, key))
        if idempotency_key is None:
            started = replace(started, created=True)  # by a try of this call, if not by the last one
        if not wait:
            return started
        return self.wait(started.run_id, timeout=wait_timeout, on_progress=on_progress)

    def wait(
        self,
        run_id: str,
        *,
        timeout: Duration | None = None,
        on_progress: Callable[[RunView], object] | None = None,
    ) -> RunView:
        """The run, when it has ended, whether it succeeded or not.

        Args:
            timeout: at most so long, as a timedelta or seconds; None for as long as it takes.
            on_progress: is given the run first and whenever something of it has changed, at most once a second.

        Raises:
            StillRunning: the time is over; the run goes on.
        """
        seconds = None if timeout is None else to_seconds(timeout, "The time to wait")
        watch = Watch(seconds, on_progress, time.monotonic())
        while True:
            run = self._send(self._routes.run(run_id, watch.seconds(time.monotonic())))
            if watch.ended(run, time.monotonic()):
                return run

    def run(self, run_id: str) -> RunView:
        """A run. Raises NotFound."""
        return self._send(self._routes.run(run_id))

    def cancel(self, run_id: str) -> RunView:
        """End a run as CANCELLED; states in flight may finish. Raises NotFound, Conflict."""
        return self._send(self._routes.operate(run_id, "cancel"))

    def pause(self, run_id: str) -> RunView:
        """Begin no further states of a run. Raises NotFound, Conflict when it has ended."""
        return self._send(self._routes.operate(run_id, "pause"))

    def resume(self, run_id: str) -> RunView:
        """Go on with a paused run. Raises NotFound, Conflict when it has ended."""
        return self._send(self._routes.operate(run_id, "resume"))

    def retry(self, run_id: str) -> RunView:
        """Run every failed state of a FAILED run again, and what follows from it; again, while it goes on, is no error.

        Raises NotFound, Conflict.
        """
        return self._send(self._routes.operate(run_id, "retry"))

    def states(
        self,
        run_id: str,
        *,
        identifier: str | None = None,
        status: str | None = None,
        branch: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[StateView]:
        """States of a run, in the order of their branches.

        Args:
            branch: path of a branch, as states have it; only its states and those below it.
        """
        return self._all(self._routes.states(run_id, identifier, status, branch, page_size))

    def states_page(
        self,
        run_id: str,
        *,
        identifier: str | None = None,
        status: str | None = None,
        branch: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[StateView]:
        """The same, a page at a time."""
        return self._send(self._routes.states(run_id, identifier, status, branch, limit, cursor))

    def store(self, run_id: str) -> dict[str, JSON]:
        """The run's store, defaults included."""
        return self._send(self._routes.store(run_id))

    def awaited(self, run_id: str) -> tuple[str, ...]:
        """Names of the signals that states of the run wait for."""
        return self._send(self._routes.awaited(run_id))

    def signal(self, run_id: str, name: str, payload: object = None, *, signal_id: str | None = None) -> None:
        """Send a signal; one that nobody awaits yet is kept.

        Args:
            signal_id: the same id again is the same signal; by default one of this call.
        """
        key = signal_id or self._exchange.entropy.token()
        self._send(self._routes.signal(run_id, name, payload, key))

    def triggers(self, graph: str | None = None, *, page_size: int | None = None) -> Iterator[Firings]:
        """The cron triggers, of all graphs or of one, and their next firings."""
        return self._all(self._routes.triggers(graph, page_size))

    def fire(self, graph: str, trigger: str) -> Started:
        """Begin a run as the trigger would now. Raises NotFound, Conflict when it is disabled or would skip."""
        return self._send(self._routes.fire(graph, trigger))

    def keys(self, *, page_size: int | None = None) -> Iterator[KeyView]:
        """The namespace's API keys, oldest first, without their secrets."""
        return self._all(self._routes.keys(page_size))

    def issue_key(self, name: str, scopes: Sequence[Scope | str]) -> IssuedKey:
        """Make a key. Its secret, `key`, is in this answer and in no other."""
        return self._send(self._routes.issue_key(name, scopes))

    def rotate_key(self, key_id: str, *, overlap_seconds: int | None = None) -> IssuedKey:
        """Give a key another secret; the one before goes on for the overlap, by default a day."""
        return self._send(self._routes.rotate_key(key_id, overlap_seconds))

    def revoke_key(self, key_id: str) -> None:
        """End a key. Raises NotFound."""
        self._send(self._routes.revoke_key(key_id))

    def poll(
        self, nodes: Sequence[str], *, limit: int = 1, wait_seconds: float = 20, lease_seconds: int = 60
    ) -> tuple[Work, ...]:
        """Lease states that run any of the nodes; the answer waits for the first one."""
        return self._send(WorkRoutes(self._routes).poll(nodes, limit, wait_seconds, lease_seconds))

    def heartbeat(self, state_id: str, lease: str, *, lease_seconds: int = 60) -> LeaseView:
        """Make a lease end so long from now; tells whether to stop working. Raises Conflict when it was lost."""
        return self._send(WorkRoutes(self._routes).heartbeat(state_id, lease, lease_seconds))

    def release(self, state_id: str, lease: str) -> Released:
        """Give a lease back: the next worker has the state at once. Raises Conflict when it was lost."""
        return self._send(WorkRoutes(self._routes).release(state_id, lease))

    def report(self, state_id: str, outcome: NodeOutcome, *, lease: str | None = None) -> Report:
        """Say how an execution ended; the same again changes nothing. Raises Conflict for another, or a lost lease."""
        return self._send(WorkRoutes(self._routes).report(state_id, outcome, lease))

    def _all(self, call: Call[Page[T]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._send(call.at(cursor))
            yield from page.items
            if (cursor := page.cursor) is None:
                return

    def _send(self, call: Call[T]) -> T:
        attempts = self._exchange.attempts(call)
        while True:
            try:
                response = self._http.send(self._exchange.request(call))
            except httpx.RequestError as error:
                failed = unreachable(error)
            else:
                if response.is_success:
                    return result_of(call, response)
                failed = refused(response)
            time.sleep(attempts.pause_after(failed))
