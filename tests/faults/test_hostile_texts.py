"""Hostile texts in every field: each is refused, with a reason and without a change, or comes back exactly.

What a request can send goes through the API (more of it, at random: tests/api/test_fuzz.py); what nodes can give goes
through the real worker, since no request limits it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import InvalidInput
from tests.api.client import NS, event
from tests.api.test_bad_requests import everything
from tests.exosphere.api import serving
from tests.faults.place import OF_SURROGATES, Place, place

TEXTS = {
    "empty": "",
    "space": " \t ",
    "nul": "a\0b",
    "control": "\x01\x07\x08\x7f\x85",
    "line ends": "a\nb\r\nc\u2028d\u2029e",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "right to left": "\u202etxt.exe\u202c שלום مرحبا",
    "combining": "e\u0301 Z͑ͫ̓a\u0334\u0335\u0336l\u0337g\u0338o",
    "not normalized": "\u212b \u00c5 A\u030a ﬁ",
    "emoji": "👩🏽‍🚀🏳️‍🌈\U0010ffff",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "byte order": "\ufeffa",
    "path": "../../etc/passwd",
    "windows path": "..\\..\\con\\nul.",
    "sql": "'; DROP TABLE items; --",
    "placeholder": "${{ store.secret }} ${{ a.outputs.x }}",
    "shell": "$(reboot) `reboot` && reboot; %s%n {0}",
    "markup": "<script>alert(1)</script> [bold red] &amp; ]]>",
    "json": '{"$n": [1]} \\u0000 \\ud800',
    "key parts": "a#run#b|c/d--0:e",
    "dunder": "__proto__",
    "digits": "0" * 400,
    "long": "ü" * 10_000,
}
SURROGATES = {"lone surrogate": "a\ud800b", "halves": "\udc00\ud800", "escaped byte": "\udc80"}
HOSTILE = [pytest.param(text, id=name.replace(" ", "-")) for name, text in TEXTS.items()]
WORSE = [*HOSTILE, *(pytest.param(text, id=name.replace(" ", "-")) for name, text in SURROGATES.items())]


@pytest.mark.parametrize("text", HOSTILE)
async def test_values_come_back_exactly(text: str) -> None:
    """Inputs, outputs with such names, store values, payloads of signals, errors."""
    async with place() as on:
        whole = {"a": text, text: [text, {text: None}]}
        run = await on.run("echo", whole, store={"s": whole})
        assert (run["inputs"], run["result"]) == ({"value": whole}, {"value": whole})
        store = await on.api.call("GET", f"/runs/{run['run_id']}/store")
        assert store.body["values"] == {"s": whole}

        assert (await on.run("odd", text))["result"] == {"value": {text: [text, {text: text}]}}

        kept = await on.run("keep", text)
        values = (await on.api.call("GET", f"/runs/{kept['run_id']}/store")).body["values"]
        assert values == {"kept": {text: text}, "list": [text]}

        waiting = await on.run("ask", "x")
        body = {"name": "go", "payload": {text: text}}
        sent = await on.api.call("POST", f"/runs/{waiting['run_id']}/signals", body)
        assert sent.status == 202, sent.text
        run = await on.ended(waiting["run_id"], waits=False)
        assert run["result"] == {"value": {text: text}}

        failed = await on.run("fail", text)
        assert failed["status"] == "FAILED"
        [state] = (await on.api.call("GET", f"/runs/{failed['run_id']}/states")).body["states"]
        [attempt] = state["attempts"]
        told = attempt["error_message"]
        assert told == (text or "ValueError was raised without a message.") or (
            len(told) >= 1_000 and text.startswith(told[:1_000])
        )


@pytest.mark.parametrize("text", WORSE)
async def test_names_are_refused_or_kept(text: str) -> None:
    """What becomes part of a key: names of graphs, nodes, identifiers, store keys, tags, signals; idempotency keys."""
    async with place() as on:
        base = f"/v1/namespaces/{NS}"
        definition = {"nodes": [{"identifier": text, "node_name": "echo"}]}
        allowed = await on.refused(
            event(
                "PUT",
                f"{base}/graphs/{quote(text[:500], safe='', errors='replace')}",
                {"definition": {"nodes": []}},
            )
        )
        assert allowed or text == "__proto__"
        answer = await on.api.call("PUT", "/graphs/named", {"definition": definition})
        assert answer.status == 422 or answer.body["valid"] is (text == "__proto__"), answer.text
        for body in (
            {"runtime": text, "nodes": [{"name": "n"}]},
            {"runtime": "rt2", "nodes": [{"name": text}]},
        ):
            assert await on.refused(event("PUT", f"{base}/nodes", body)) or text == "__proto__"
        runs = f"{base}/graphs/echo/runs"
        await check_store_key(on, runs, text)
        await check_tags(on, runs, text)
        await check_signal(on, text)


async def check_store_key(on: Place, runs: str, text: str) -> None:
    body = {"inputs": {"value": 1}, "store": {text: text}}
    if not await on.refused(event("POST", runs, body)):
        newest = (await on.api.call("GET", "/runs", query={"limit": 1})).body["runs"][0]
        values = (await on.api.call("GET", f"/runs/{newest['run_id']}/store")).body["values"]
        assert values == {text: text}


async def check_tags(on: Place, runs: str, text: str) -> None:
    for name, value in ((text, "x"), ("t", text)):
        if not await on.refused(event("POST", runs, {"inputs": {"value": 1}, "tags": {name: value}})):
            found = await on.api.call("GET", "/runs", query={"tag": f"{name}:{value}"})
            assert [run["tags"] for run in found.body["runs"]] == [{name: value}]


async def check_signal(on: Place, text: str) -> None:
    waiting = await on.run("ask", "x")
    signals = f"/v1/namespaces/{NS}/runs/{waiting['run_id']}/signals"
    if not await on.refused(event("POST", signals, {"name": text, "payload": 1})):
        assert (await on.ended(waiting["run_id"]))["status"] == "WAITING"  # it is another one's
    assert await on.refused(event("POST", signals, {"name": "go", "id": text})) or text == "__proto__"
    run = await on.run("wait_for", text) if text not in SURROGATES.values() else None
    if run is None or run["status"] == "FAILED":
        return
    assert run["awaiting"] == [text]
    sent = await on.api.call("POST", f"/runs/{run['run_id']}/signals", {"name": text})
    assert sent.status == 202


@pytest.mark.parametrize("text", HOSTILE)
async def test_store_keys_of_nodes_are_kept_or_fail_the_state(text: str) -> None:
    async with place() as on:
        run = await on.run("key", text)
        values = (await on.api.call("GET", f"/runs/{run['run_id']}/store")).body["values"]
        if run["status"] == "SUCCEEDED":
            assert values == {text: 1}
        else:
            assert "is no store key: " in run["error"]
            assert len(run["error"]) < 20_000
            assert values == {}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name.replace(" ", "-")) for name, text in SURROGATES.items()]
)
async def test_what_the_engine_is_given_in_this_process_is_checked_too(text: str) -> None:
    """The command line and nodes call it without a request in between."""
    async with place() as on:
        waiting = (await on.run("ask", "x"))["run_id"]
        await on.quiet()
        before = await everything(on.api)
        for attempt in (
            lambda: on.engine.trigger(NS, "echo", inputs={"value": text}),
            lambda: on.engine.trigger(NS, "echo", inputs={"value": 1}, idempotency_key=text),
            lambda: on.engine.trigger(NS, "echo", inputs={"value": 1}, tags={"t": text}),
            lambda: on.engine.trigger(NS, "echo", inputs={"value": 1}, store={text: 1}),
            lambda: on.engine.signal(NS, waiting, text),
            lambda: on.engine.signal(NS, waiting, "go", signal_id=text),
        ):
            with pytest.raises(InvalidInput):
                await attempt()
        assert await everything(on.api) == before


async def test_exospheres_routes_refuse_them_too() -> None:
    async with serving() as api:
        for body in (b'{"inputs": {}, "store": {"\\ud800": "\\ud800"}}', b'{"\\udfff": 1}'):
            answer = await api.call("POST", "/graph/g/trigger", body, **{"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["detail"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("show", b"\xff"), ("cancel", b"\xff"), ("runs", "-n", b"\xff"), ("signal", "r1", b"\xff")]
)
def test_arguments_that_are_no_text(tmp_path: Path, arguments: tuple[str | bytes, ...]) -> None:
    database = tmp_path / "k.db"
    EmbeddedBackend.open(database, clock=SystemClock(), entropy=SystemEntropy()).close()
    code = "from karman_cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--db", str(database)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONUTF8": "1"},
        timeout=60,
    )
    assert done.returncode == 2, done
    said = (b"'\\udcff' is no text in UTF-8", b"'\\udcff' is no name of a namespace", b"There is no run")
    assert any(each in done.stderr for each in said)


@pytest.mark.parametrize(
    "text", [pytest.param(ascii(text)[1:-1], id=name.replace(" ", "-")) for name, text in SURROGATES.items()]
)
@pytest.mark.parametrize("graph", [each.node.__name__ for each in OF_SURROGATES])
async def test_halves_of_pairs_made_by_nodes_end_the_run(graph: str, text: str) -> None:
    """No encoding can store them: the state fails with a reason, or keeps them; it does not hang."""
    async with place() as on:
        run = await on.run(graph, text.replace("\\x", "\\u00"))
        states = await on.api.call("GET", f"/runs/{run['run_id']}/states")
        assert states.status == 200, states.text
        if run["status"] == "SUCCEEDED":
            assert run["result"] == {"value": json.loads(f'"{text}"')}
        else:
            assert run["status"] == "FAILED"
            assert run["error"]


@pytest.mark.parametrize("depth", [30, 60, 61, 62, 63, 64, 65, 1_000, 100_000])
async def test_deep_values(depth: int) -> None:
    """Kept up to the depth that JSON may have here; beyond it, refused or a failure with a reason."""
    async with place() as on:
        nested = "[" * depth + "0" + "]" * depth
        body = f'{{"inputs": {{"value": {nested}}}}}'
        if not await on.refused(event("POST", f"/v1/namespaces/{NS}/graphs/echo/runs", body)):
            newest = (await on.api.call("GET", "/runs", query={"limit": 1})).body["runs"][0]
            run = await on.ended(newest["run_id"])
            assert (run["status"], run["result"]) == ("SUCCEEDED", run["inputs"]), run
        given = await on.run("deep", depth)
        kept = await on.run("deep_in_store", depth)
        if depth < 60:
            assert (given["status"], kept["status"]) == ("SUCCEEDED", "SUCCEEDED")
            assert given["result"] == {"value": json.loads(nested)}
        if depth > 64:
            for run in (given, kept):
                assert run["status"] == "FAILED"
                reason = run["error"].partition(": ")[2]
                assert "deep" in reason or "depth" in reason, run["error"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_idempotency_keys_are_refused_or_kept(text: str) -> None:
    async with place() as on:
        sent = event(
            "POST",
            f"/v1/namespaces/{NS}/graphs/echo/runs",
            {"inputs": {"value": 1}},
            headers={"idempotency-key": text},
        )
        if await on.refused(sent):
            assert not 1 <= len(text) <= 256
            return
        again = await on.api.send(sent)
        assert again.status == 200, again.text
        run = (await on.api.call("GET", f"/runs/{again.body['run_id']}")).body
        assert run["idempotency_key"] == text
