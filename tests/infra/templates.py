"""CloudFormation templates as tests read them: resources by type, and intrinsic functions as readable text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Template:
    """One stack."""

    raw: Mapping[str, Any]

    def all(self, kind: str) -> dict[str, Any]:
        """Properties of every resource of a type, by logical id, intrinsic functions rendered."""
        return {
            logical: rendered(resource.get("Properties", {}))
            for logical, resource in self.raw["Resources"].items()
            if resource["Type"] == kind
        }

    def only(self, kind: str) -> Any:
        """The properties of the one resource of a type."""
        (found,) = self.all(kind).values()
        return found

    def named(self, kind: str, attribute: str, name: str) -> Any:
        """The properties of the resource of a type that has this name."""
        (found,) = [each for each in self.all(kind).values() if each.get(attribute) == name]
        return found

    def resource(self, kind: str) -> Any:
        """The one resource of a type as a whole, as it is written."""
        (found,) = [each for each in self.raw["Resources"].values() if each["Type"] == kind]
        return found

    def function(self, name: str) -> Any:
        """A Lambda function's properties."""
        return self.named("AWS::Lambda::Function", "FunctionName", name)

    def variables(self, name: str) -> dict[str, str]:
        """A Lambda function's environment."""
        found: dict[str, str] = self.function(name)["Environment"]["Variables"]
        return found

    def statements(self, role: str) -> list[dict[str, Any]]:
        """What the inline policies allow and deny to a role (a part of its logical id)."""
        found: list[dict[str, Any]] = []
        for policy in self.all("AWS::IAM::Policy").values():
            if any(role in each for each in policy["Roles"]):
                found += policy["PolicyDocument"]["Statement"]
        return found


def read_templates(folder: Path) -> dict[str, Template]:
    """Of every stack that was synthesized to a folder."""
    found = {}
    for path in sorted(folder.glob("*.template.json")):
        template = Template(json.loads(path.read_text(encoding="utf-8")))
        found[path.name.removesuffix(".template.json")] = template
    return found


def rendered(value: Any) -> Any:
    """With intrinsic functions as text: `<Region>`, `<Table.Arn>`."""
    if isinstance(value, list):
        return [rendered(each) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": str(name), **rest} if not rest:
            return f"<{name.removeprefix('AWS::')}>"
        case {"Fn::GetAtt": [str(logical), str(attribute)], **rest} if not rest:
            return f"<{logical}.{attribute}>"
        case {"Fn::Join": [str(separator), list(parts)], **rest} if not rest:
            return separator.join(str(rendered(part)) for part in parts)
        case {"Fn::Sub": str(text), **rest} if not rest:
            return text.replace("${AWS::", "<").replace("}", ">")
    return {key: rendered(each) for key, each in value.items()}


def listed(value: Any) -> list[str]:
    """What a policy writes as one text or as a list."""
    return [value] if isinstance(value, str) else list(value)


def allowed(statements: list[dict[str, Any]], action: str) -> set[str]:
    """The resources for which an action is allowed."""
    return {
        resource
        for statement in statements
        if statement["Effect"] == "Allow" and action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """Every action that is allowed."""
    return {
        action
        for statement in statements
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
    }
