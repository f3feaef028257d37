"""Secrets reach the node and nothing else."""

import logging
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from karman import Node, node
from karman._internal.node import declaration_of
from karman.testing import Errored, Succeeded, aexecute

VALUE = "sk-3c59dc048e8850243be8079a5c74d079"


class Asking(Node):
    class Inputs(BaseModel):
        how: str = "use"

    class Outputs(BaseModel):
        length: int

    class Secrets(BaseModel):
        api_key: str
        other: SecretStr = SecretStr("none")
        renamed: str = Field(default="", validation_alias="RENAMED_KEY")

    async def execute(self) -> Outputs:
        key = self.secrets.api_key
        match self.inputs.how:
            case "raise":
                raise ValueError(f"401 for key {key}")
            case "chain":
                try:
                    raise KeyError(key)
                except KeyError as error:
                    raise ConnectionError("refused") from error
            case "repr":
                raise ValueError(f"{self.secrets!r} {self.secrets} {self!r} {self.ctx!r}")
        return self.Outputs(length=len(key))


async def test_a_node_reads_its_secrets() -> None:
    assert await aexecute(Asking, secrets={"api_key": VALUE}) == Succeeded(({"length": len(VALUE)},))
    assert declaration_of(Asking).secret_names == ("api_key", "other", "RENAMED_KEY")


@pytest.mark.parametrize("how", ["raise", "chain", "repr"])
async def test_errors_do_not_hold_them(how: str) -> None:
    outcome = await aexecute(Asking, how=how, secrets={"api_key": VALUE, "RENAMED_KEY": VALUE[3:]})

    assert isinstance(outcome, Errored)
    assert VALUE[3:] not in outcome.message + outcome.traceback
    assert "**********" in outcome.message + outcome.traceback


async def test_a_repr_shows_the_names() -> None:
    outcome = await aexecute(Asking, how="repr", secrets={"api_key": VALUE})

    assert isinstance(outcome, Errored)
    assert "Secrets(api_key='**********', other='**********', renamed='**********')" in outcome.message


async def test_a_missing_secret_is_named() -> None:
    outcome = await aexecute(Asking, secrets={"other": VALUE})

    assert isinstance(outcome, Errored)
    assert (outcome.kind, outcome.retry) == ("invalid_secrets", False)
    assert outcome.message == "Secrets of node 'Asking' do not fit: api_key: Field required."


async def test_short_values_do_not_garble_messages() -> None:
    @node
    async def fail(secrets: Asking.Secrets) -> None:
        raise ValueError("a plain message")

    outcome = await aexecute(fail, secrets={"api_key": "a"})

    assert isinstance(outcome, Errored)
    assert outcome.message == "a plain message"


async def test_a_protected_model_is_still_the_users() -> None:
    kept: list[Any] = []

    class Keeping(Node):
        class Secrets(BaseModel):
            api_key: str

            def header(self) -> str:
                return f"Bearer {self.api_key}"

        async def execute(self) -> None:
            kept.append(self.secrets)

    await aexecute(Keeping, secrets={"api_key": VALUE})

    (secrets,) = kept
    assert isinstance(secrets, Keeping.Secrets)
    assert secrets.header() == f"Bearer {VALUE}"
    assert VALUE not in repr([secrets])
    assert VALUE not in str(logging.makeLogRecord({"msg": "%s", "args": (secrets,)}).getMessage())
