"""`key=value` arguments, durations, and other values as they are typed on a command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from typer import BadParameter

from karman_core.domain.definition import JSON
from karman_core.domain.rotation import MAX_OVERLAP_SECONDS

AGE = re.compile(r"(\d{1,9})([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def pairs(arguments: Sequence[str] | None, option: str) -> dict[str, str]:
    """`key=value` arguments by key, values as typed. Raises BadParameter."""
    found: dict[str, str] = {}
    for argument in arguments or ():
        key, separator, value = argument.partition("=")
        if not separator or not key:
            raise BadParameter(f"{option} takes key=value, not {argument!r}")
        if key in found:
            raise BadParameter(f"{option} {key} is given twice")
        found[key] = value
    return found


def secret_values(given: Sequence[str] | None, from_environment: Sequence[str] | None) -> dict[str, str]:
    """Values of secrets: those that were typed, and those named in the environment. Raises BadParameter."""
    from karman_runtime.settings import environment_variable

    values = pairs(given, "--secret")
    for name in from_environment or ():
        value = environment_variable(name)
        if value is None:
            raise BadParameter(f"--secret-env {name}: there is no such variable in the environment")
        values[name] = value
    return values


def json_or_text(text: str) -> JSON:
    """What the text says as JSON, or the text itself. NaN and infinities are no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def json_object(text: str, option: str) -> dict[str, JSON]:
    """What the text says as a JSON object. Raises BadParameter."""
    value = json_or_text(text)
    if not isinstance(value, dict):
        raise BadParameter(f"{option} takes a JSON object, not {text[:100]!r}")
    return value


def json_values(arguments: Sequence[str] | None, option: str) -> dict[str, JSON]:
    """`key=value` arguments by key, values as JSON where they are. Raises BadParameter."""
    return {key: json_or_text(value) for key, value in pairs(arguments, option).items()}


def fitted(typed: Mapping[str, str], schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """Typed values as JSON, or as text where only that fits the field's schema (`5` for a string field).

    What fits neither way stays JSON; the engine then says what is wrong with it.
    """
    return {key: _fit(text, key, schema) for key, text in typed.items()}


def _fit(text: str, key: str, schema: Mapping[str, JSON]) -> JSON:
    value = json_or_text(text)
    field = schema.get("properties", {}).get(key)
    if isinstance(value, str) or field is None:
        return value
    from jsonschema import Draft202012Validator

    # References in the field's schema point to the whole schema's definitions.
    validator = Draft202012Validator({**field, "$defs": schema.get("$defs", {})})
    return text if not validator.is_valid(value) and validator.is_valid(text) else value


def read_object(path: Path | None) -> dict[str, JSON]:
    """A JSON or YAML object from a file, from stdin for `-`, or none. Raises BadParameter."""
    from karman_core.domain.errors import InvalidGraph
    from karman_core.domain.parsing import load_text

    if path is None:
        return {}
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        content = load_text(text, "json" if path.suffix == ".json" else "yaml")
    except FileNotFoundError:
        raise BadParameter(f"--input-file: there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadParameter(f"--input-file: {path} cannot be read: {error}") from error
    except InvalidGraph as error:
        raise BadParameter(f"--input-file: {path}: {'; '.join(map(str, error.problems))}") from error
    if not isinstance(content, dict):
        raise BadParameter(f"--input-file: {path} holds no object of inputs by name")
    return content


def duration_seconds(text: str, option: str) -> int:
    """`90s`, `15m`, `2h`, `1d`, `1w` in seconds. Raises BadParameter."""
    match = re.fullmatch(AGE, text.strip())
    if match is None:
        raise BadParameter(f"{option} takes a number and a unit (90s, 15m, 2h, 1d, 1w), not {text!r}")
    return int(match[1]) * SECONDS[match[2]]


def overlap_seconds(text: str) -> int:
    """The `--overlap` of a rotation, as `duration_seconds`. Raises BadParameter."""
    seconds = duration_seconds(text, "--overlap")
    if seconds > MAX_OVERLAP_SECONDS:
        raise BadParameter("--overlap is at most 30d")
    return seconds


def moment_ms(text: str, option: str, now_ms: int) -> int:
    """An age (`30m`: so long ago) or an ISO 8601 time, local without a zone, in epoch milliseconds.

    Raises:
        BadParameter: it is neither.
    """
    given = text.strip()
    if re.fullmatch(AGE, given):
        return max(0, now_ms - duration_seconds(given, option) * 1000)
    try:
        return max(0, round(datetime.fromisoformat(given).astimezone().timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise BadParameter(
            f"{option} takes an age (30m, 12h, 1d, 2w) or an ISO time (2026-01-31 or 2026-01-31T09:30), not {text!r}"
        ) from None


def _refuse(constant: str) -> JSON:
    raise ValueError(constant)
