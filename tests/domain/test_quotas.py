from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import InvalidInput, QuotaExceeded
from karman_core.domain.quotas import UNLIMITED, NamespaceQuotas, quotas_of


def test_quotas_are_read_from_what_somebody_wrote() -> None:
    assert quotas_of({}) == UNLIMITED
    assert quotas_of(UNLIMITED.as_json()) == UNLIMITED
    assert quotas_of(
        {"concurrent_runs": 5, "states_per_second": 3, "payload_bytes": 2048}
    ) == NamespaceQuotas(5, 3.0, 2048)


def test_they_are_written_as_they_are_read() -> None:
    quotas = NamespaceQuotas(1, 0.5, None)

    assert quotas_of(quotas.as_json()) == quotas


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrent_runs": 0},
        {"concurrent_runs": 1_000_001},
        {"concurrent_runs": True},
        {"concurrent_runs": 1.0},
        {"concurrent_runs": "5"},
        {"states_per_second": 0},
        {"states_per_second": float("nan")},
        {"states_per_second": float("inf")},
        {"states_per_second": False},
        {"payload_bytes": 1_023},
        {"payload_bytes": 2**30 + 1},
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        quotas_of(wrong)

    (problem,) = refused.value.problems
    assert [problem.path] == list(wrong)
    assert problem.code == "invalid_value"
    assert " to " in problem.message


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        quotas_of({"runs": 5, "payload_bytes": 0, "states_per_second": []})

    assert [(each.path, each.code) for each in refused.value.problems] == [
        ("runs", "unknown_field"),
        ("states_per_second", "invalid_value"),
        ("payload_bytes", "invalid_value"),
    ]


def test_a_payload_is_within_the_quota_or_refused() -> None:
    quotas = NamespaceQuotas(payload_bytes=2000)
    UNLIMITED.check_payload("The outputs", 10**9)
    quotas.check_payload("The outputs", 2000)

    with pytest.raises(QuotaExceeded, match=r"The outputs: 2,001 bytes.*2,000") as refused:
        quotas.check_payload("The outputs", 2001)

    assert (refused.value.code, refused.value.status) == ("quota_exceeded", 429)
    assert refused.value.retry_after_seconds is None
