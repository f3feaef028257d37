"""`karman quotas`."""

from __future__ import annotations

import pytest

from tests.cli.command_line import karman
from tests.cli.live import KEY, Live, Place

NONE = {"concurrent_runs": None, "states_per_second": None, "payload_bytes": None}


def test_quotas_are_shown_and_changed_one_by_one(place: Place) -> None:
    namespace = ("-n", f"quotas-{place.kind}")
    assert place.document("quotas", "show", *namespace) == NONE

    first = place.document(
        "quotas", "set", "--concurrent-runs", "5", "--states-per-second", "2.5", *namespace
    )
    second = place.document(
        "quotas", "set", "--concurrent-runs", "none", "--payload-bytes", "4096", *namespace
    )
    table = place("quotas", "show", *namespace).out

    assert first == {**NONE, "concurrent_runs": 5, "states_per_second": 2.5}
    assert second == {"concurrent_runs": None, "states_per_second": 2.5, "payload_bytes": 4096}
    assert [line.split() for line in table.splitlines()][1:] == [
        ["concurrent_runs", "none"],
        ["states_per_second", "2.5"],
        ["payload_bytes", "4,096"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one quota"),
        (["--concurrent-runs", "many"], "--concurrent-runs is a number, or 'none' for no limit, not 'many'"),
        (["--concurrent-runs", "1.5"], "concurrent_runs: It is a whole number from 1 to 1,000,000"),
        (["--payload-bytes", "1"], "payload_bytes: It is a whole number from 1,024"),
    ],
)
def test_what_cannot_be_set_is_said(place: Place, arguments: list[str], message: str) -> None:
    output = place("quotas", "set", *arguments)

    assert output.code == 2
    assert message in output.err


def test_a_key_of_the_namespace_does_not_raise_its_quotas(server: Live) -> None:
    own = {"KARMAN_URL": server.url, "KARMAN_API_KEY": KEY}
    issued = karman("keys", "create", "tenant", "--scope", "admin", "--json", env=own).document

    output = karman("quotas", "set", "--payload-bytes", "none", env={**own, "KARMAN_API_KEY": issued["key"]})

    assert output.code == 77
    assert "server's own admin key" in output.err
