"""Definitions as YAML that people like to read and `karman_core.domain.parsing` reads back unchanged."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from karman_core.domain.definition import JSON
from karman_core.domain.parsing import Format

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ ./-]*")
"""Texts that need no quotes, unless YAML 1.1 takes them for a constant, which the dumper itself sees."""


class _Dumper(yaml.SafeDumper):
    """Quotes what could be read as anything but text, and repeats values, as aliases are refused."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature of the base
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if _PLAIN.fullmatch(text) else '"'
    )


_Dumper.add_representer(str, _represent_text)


def to_yaml(data: JSON) -> str:
    """The data as YAML."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def format_of(path: Path) -> Format:
    """How a file is read."""
    return "json" if path.suffix.lower() == ".json" else "yaml"
