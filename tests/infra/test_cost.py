"""The bill at rest, as the templates make it, is what docs/cost.md says, figure by figure."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.infra.cost import Usage, dollars, items, rounds_a_month, usage
from tests.infra.templates import Template

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
KINDS = {
    "alarms": ("alarms",),
    "dashboard": ("dashboards",),
    "polling of task queues": ("polls",),
    "looks at queues": ("queue_requests",),
    "schedules": ("firings",),
    "functions that they call": ("invocations", "gb_seconds"),
    "table": ("read_units",),
}
"""Rows of the first table, and what is billed in them."""

Bills = Mapping[str, Usage]


@pytest.fixture(scope="module")
def bills(templates: dict[str, Template]) -> Bills:
    """By the columns of the first table."""
    dev, live = templates["Karman-dev"], templates["Karman-live"]
    rounds = rounds_a_month(dev)
    assert rounds == rounds_a_month(live)
    examples, elsewhere = templates["Karman-dev-Examples"], templates["Karman-dev-Elsewhere"]
    return {
        "control plane": usage(dev),
        "`NodeFunction`": usage(examples, "Digest", rounds),
        "`ContainerRuntime`": usage(elsewhere, "Containers", rounds),
        "`ExternalRuntime`": usage(elsewhere, "External", rounds),
        "control plane, production": usage(live),
        "`NodeFunction`, production": usage(templates["Karman-live-Nodes"], rounds=rounds),
    }


def tables() -> list[list[list[str]]]:
    """The tables of the section about rest: cells by row, without emphasis."""
    (section,) = re.findall(
        r"^## At rest$(.*?)^## ", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    found: list[list[list[str]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        rows = [
            [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
            for line in block.splitlines()
        ]
        found.append([row for row in rows if not set("".join(row)) <= set("- ")])
    return found


def told(cell: str, value: float) -> bool:
    """Whether a cell says this, to as many places as it has."""
    if not cell:
        return value == 0
    digits = len(cell.partition(".")[2])
    return f"{value:.{digits}f}" == cell


def test_the_bill_of_each_part(bills: Bills) -> None:
    (head, *rows), *_ = tables()
    columns = head[1:]
    by_name = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}

    assert set(columns) == set(bills)
    for column, used in bills.items():
        of_kind = items(used)
        wanted = {row: sum(of_kind.get(kind, 0) for kind in kinds) for row, kinds in KINDS.items()}
        wanted["together"] = dollars(used)
        assert wanted.keys() == by_name.keys()
        for row, value in wanted.items():
            assert told(by_name[row][column], value), (row, column, by_name[row][column], value)


def test_the_bill_of_deployments(bills: Bills) -> None:
    deployments = {
        "default, control plane alone": bills["control plane"],
        "default, one `NodeFunction`": bills["control plane"] + bills["`NodeFunction`"],
        "default, the three examples": bills["control plane"] + times(3, bills["`NodeFunction`"]),
        "production, control plane alone": bills["control plane, production"],
        "production, one `NodeFunction`": bills["control plane, production"]
        + bills["`NodeFunction`, production"],
    }
    _, (head, *rows), *_ = tables()

    assert head[1:] == ["by the list", "with AWS's allowances"]
    assert {row[0] for row in rows} == set(deployments)
    for name, by_the_list, allowed in rows:
        used = deployments[name]
        assert told(by_the_list, dollars(used)), (name, dollars(used))
        assert told(allowed, dollars(used, allowances=True)), (name, dollars(used, allowances=True))


def test_a_deployment_with_a_runtime_costs_less_than_a_dollar_by_the_list(bills: Bills) -> None:
    assert dollars(bills["control plane"] + bills["`NodeFunction`"]) < 1
    assert bills["`NodeFunction`"]["polls"] > 600_000  # what is polled is counted


def test_what_nobody_has_priced_is_an_error() -> None:
    template = Template({"Resources": {"Gate": {"Type": "AWS::EC2::NatGateway"}}})
    with pytest.raises(AssertionError, match="NatGateway"):
        usage(template)


def times(number: int, used: Usage) -> Usage:
    return Usage({what: number * amount for what, amount in used.items()})
