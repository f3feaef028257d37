"""Secrets: written once, read by workers alone, shown nowhere."""

from __future__ import annotations

import pytest

from karman_core.ports.secrets import Secrets

SCOPE = "default/digest"


async def test_values_come_back(secrets: Secrets) -> None:
    values = {"API_KEY": "s3cret", "unicode": "grüße 😀\n\t", "long": "x" * 3000}

    await secrets.put(SCOPE, values)

    assert await secrets.get(SCOPE, list(values)) == values
    assert await secrets.get(SCOPE, ["API_KEY"]) == {"API_KEY": "s3cret"}


async def test_what_does_not_exist_is_left_out(secrets: Secrets) -> None:
    await secrets.put(SCOPE, {"a": "1"})

    assert await secrets.get(SCOPE, ["a", "b"]) == {"a": "1"}
    assert await secrets.get(SCOPE, []) == {}
    assert await secrets.get("default/other", ["a"]) == {}


async def test_more_names_than_a_service_reads_at_once(secrets: Secrets) -> None:
    values = {f"name{number:02}": f"value {number}" for number in range(24)}

    await secrets.put(SCOPE, values)

    assert await secrets.get(SCOPE, [*values, "none"]) == values
    assert await secrets.names(SCOPE) == sorted(values)


async def test_putting_again_replaces_and_keeps_the_others(secrets: Secrets) -> None:
    await secrets.put(SCOPE, {"a": "1", "b": "2"})

    await secrets.put(SCOPE, {"b": "3", "c": "4"})
    await secrets.put(SCOPE, {})

    assert await secrets.get(SCOPE, ["a", "b", "c"]) == {"a": "1", "b": "3", "c": "4"}


async def test_scopes_are_separate(secrets: Secrets) -> None:
    scopes = ["default/digest", "default/digest2", "default2/digest", "default/Digest"]
    for scope in scopes:
        await secrets.put(scope, {"a": scope, scope[-3:]: "x"})

    for scope in scopes:
        assert await secrets.get(scope, ["a"]) == {"a": scope}
        assert await secrets.names(scope) == sorted({"a", scope[-3:]})


async def test_names_are_sorted(secrets: Secrets) -> None:
    await secrets.put(SCOPE, {"b": "1", "a": "2", "C": "3", "a_1": "4"})

    assert await secrets.names(SCOPE) == ["C", "a", "a_1", "b"]
    assert await secrets.names("default/none") == []


async def test_deleting(secrets: Secrets) -> None:
    await secrets.put(SCOPE, {"a": "1", "b": "2"})

    await secrets.delete(SCOPE, ["a", "none"])
    await secrets.delete(SCOPE, ["a"])
    await secrets.delete(SCOPE, [])

    assert await secrets.names(SCOPE) == ["b"]


@pytest.mark.parametrize(
    "value", [17, b"hunter2", "hunter2\ud800", None], ids=["number", "bytes", "half", "none"]
)
async def test_a_value_that_cannot_be_kept_is_refused_without_showing_it(
    secrets: Secrets, value: object
) -> None:
    with pytest.raises((TypeError, ValueError)) as refusal:
        await secrets.put(SCOPE, {"a": "1", "b": value})  # type: ignore[dict-item]

    error: BaseException | None = refusal.value
    while error is not None:
        assert "hunter2" not in f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert await secrets.names(SCOPE) == []


async def test_a_value_is_in_no_repr(secrets: Secrets) -> None:
    await secrets.put(SCOPE, {"a": "hunter2"})

    assert "hunter2" not in f"{secrets!r} {vars(secrets)!r}"
