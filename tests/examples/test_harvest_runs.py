"""The harvest as a whole: every record once, whatever the API and the workers do."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from examples.api_harvest import client
from examples.api_harvest.harvest import graph
from examples.api_harvest.server import Api, Settings, make_record, serving
from karman.testing import crash, fail, run

FLAKY = Settings(slow_seconds=30, quiet=True)
CALM = replace(FLAKY, throttled=0, failing=0, slow=0)


@pytest.fixture
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    settings = getattr(request, "param", FLAKY)
    # Where nothing is too late on purpose, nothing is because the machine is slow.
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 1.0 if settings.slow else 90)
    with serving(settings) as server:
        yield server


def harvested(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def inputs(api: Api, tmp_path: Path) -> dict[str, str]:
    return {"base_url": api.url, "out": str(tmp_path / "new" / "records.jsonl")}


MORE = [pytest.param(replace(FLAKY, seed=seed), marks=pytest.mark.slow) for seed in (7, 8)]


@pytest.mark.parametrize("api", [replace(FLAKY, seed=9), *MORE], indirect=True)
def test_every_record_once_from_a_flaky_api(api: Api, tmp_path: Path) -> None:
    result = run(graph, inputs(api, tmp_path)).assert_succeeded()

    expected = [make_record(api.settings.seed, number) for number in range(1, 201)]
    assert harvested(Path(result.outputs["path"])) == expected
    assert result.outputs["records"] == 200
    assert result.outputs["sha256"] == api.checksum
    assert result.outputs["throttled"] > 0
    assert sum(len(state.attempts) > 1 for state in result.states("fetch")) > 0
    assert result.store["pages"] == 5
    assert result.store["fetched"] == 200


@pytest.mark.parametrize("api", [replace(CALM, throttled=0.4, retry_after_seconds=30)], indirect=True)
def test_being_throttled_is_no_failure_and_waits_as_long_as_asked(api: Api, tmp_path: Path) -> None:
    result = run(graph, inputs(api, tmp_path)).assert_succeeded()

    assert all(len(state.attempts) == 1 for state in result.all_states)
    assert result.outputs["throttled"] == sum(api.asked.values()) - 25
    assert result.elapsed >= 30


@pytest.mark.parametrize("api", [CALM], indirect=True)
def test_workers_that_die_cost_no_record_and_count_none_twice(api: Api, tmp_path: Path) -> None:
    result = run(
        graph,
        inputs(api, tmp_path),
        failures=[crash("index", after=True), crash("fetch", after=True), crash("combine", after=True)],
        deliveries=2,
    ).assert_succeeded()

    assert len(harvested(Path(result.outputs["path"]))) == 200
    assert result.store["fetched"] == 200
    assert result.store["pages"] == 5


@pytest.mark.parametrize("api", [CALM], indirect=True)
def test_a_walk_that_was_interrupted_goes_on_from_its_cursor(api: Api, tmp_path: Path) -> None:
    # The third page is lost with its worker; the two before are in the store and are not asked for again.
    seen = 0

    def third(_: object) -> bool:
        nonlocal seen
        seen += 1
        return seen == 3

    run(graph, inputs(api, tmp_path), failures=[crash("index", where=third, after=True)]).assert_succeeded()

    pages = {request: times for request, times in api.asked.items() if request.startswith("/index")}
    assert pages == {
        "/index": 1,
        "/index?cursor=p40": 1,
        "/index?cursor=p80": 2,
        "/index?cursor=p120": 1,
        "/index?cursor=p160": 1,
    }


@pytest.mark.parametrize("api", [replace(CALM, records=0)], indirect=True)
def test_an_api_without_records_gives_an_empty_file(api: Api, tmp_path: Path) -> None:
    result = run(graph, inputs(api, tmp_path)).assert_succeeded()

    assert Path(result.outputs["path"]).read_text() == ""
    assert result.outputs["records"] == 0


@pytest.mark.parametrize("api", [CALM], indirect=True)
def test_a_file_that_would_not_be_whole_is_not_written(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.records[17] = {**api.records[17], "celsius": 99.9}  # changed between the index and the fetch

    result = run(graph, inputs(api, tmp_path))

    result.assert_failed("the checksum is")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("api", [CALM], indirect=True)
def test_an_outage_is_waited_out(api: Api, tmp_path: Path) -> None:
    result = run(graph, inputs(api, tmp_path), failures=[fail("fetch", times=6)]).assert_succeeded()

    assert all(len(state.attempts) == 7 for state in result.states("fetch"))


def test_a_wrong_address_fails_at_once(tmp_path: Path) -> None:
    result = run(graph, {"base_url": "file:///etc", "out": str(tmp_path / "x")})

    result.assert_failed("no address of an HTTP API")
    assert result.executions("index") == 1
