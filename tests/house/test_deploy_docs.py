"""docs/deploy.md tells every key of the configuration, and the commands that it shows exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel

from karman_infra.config import Config
from tests.cli.command_line import karman

DOCS = Path(__file__).parents[2] / "docs"
DEPLOY = (DOCS / "deploy.md").read_text(encoding="utf-8")


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        options = (
            field.annotation,
            *(get_args(field.annotation) if get_origin(field.annotation) is UnionType else ()),
        )
        part = [each for each in options if isinstance(each, type) and issubclass(each, BaseModel)]
        yield from keys(part[0], f"{before}{name}.") if part else [f"{before}{name}"]


def test_every_key_of_the_configuration_is_told() -> None:
    rows = [line.split("|")[1] for line in DEPLOY.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z0-9_.]+)`", row)}

    wanted = set(keys(Config))
    assert "api.domain_name" in wanted
    assert wanted - told == set()


@pytest.mark.parametrize("page", ["deploy.md", "operate.md", "cost.md", "security.md"])
def test_commands_that_pages_name_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|\$ |&& )karman ([a-z][a-z-]+)", text))

    for command in named:
        assert karman(command, "--help").code == 0, command


@pytest.mark.parametrize("page", ["deploy.md", "operate.md", "cost.md", "security.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (DOCS / target).exists(), target
