"""Policies of deployed roles, and what they allow: as much of IAM's rules as Karman's policies use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.e2e_aws.calls import POLICIES, Call


@dataclass(frozen=True, slots=True)
class Policy:
    """All statements of a role."""

    statements: tuple[Mapping[str, Any], ...]

    @property
    def actions(self) -> set[str]:
        """Whatever is allowed anywhere."""
        return {
            action
            for each in self.statements
            if each["Effect"] == "Allow"
            for action in listed(each["Action"])
        }

    def allows(self, call: Call) -> bool:
        """Whether a statement allows a call and none denies it."""
        effects = {each["Effect"] for each in self.statements if _matches(each, call)}
        return effects == {"Allow"}


def policy_of(folder: Path, name: str) -> Policy:
    """What is deployed for a role, or of one policy by its ARN. Neither is a policy of AWS's own."""
    lines = (folder / POLICIES).read_text(encoding="utf-8").splitlines()
    found = [each for line in lines if name in {(each := json.loads(line))["arn"], *each["roles"]}]
    assert found, name
    return Policy(tuple(statement for each in found for statement in each["document"]["Statement"]))


def listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _matches(statement: Mapping[str, Any], call: Call) -> bool:
    return (
        call.action in listed(statement["Action"])
        and any(fnmatchcase(call.resource, _pattern(each)) for each in listed(statement["Resource"]))
        and all(
            _holds(operator, call.conditions.get(key, ()), listed(wanted))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, values: Sequence[str], wanted: Sequence[str]) -> bool:
    quantifier, _, comparison = operator.rpartition(":")
    assert comparison in {"StringLike", "StringEquals"}, operator
    found = [
        any(
            fnmatchcase(value, _pattern(each)) if comparison == "StringLike" else value == each
            for each in wanted
        )
        for value in values
    ]
    if quantifier == "ForAllValues":
        return all(found)
    assert quantifier in {"", "ForAnyValue"}, operator
    return any(found)


def _pattern(text: str) -> str:
    """IAM knows `*` and `?`; a bracket is a bracket."""
    return text.replace("[", "[[]")
