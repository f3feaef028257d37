"""The page of variables says all that is read, and nothing else; and what settings make of them."""

from __future__ import annotations

import importlib
import re

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_functions.settings import Settings, load_settings, variable
from karman_runtime import settings as runtime_settings
from karman_runtime.composition import assembled
from tests.emulators import ROOT

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    functions = {variable(field) for field in Settings.model_fields}
    runtime = {f"KARMAN_{field.upper()}" for field in runtime_settings.Settings.model_fields}
    table = [line for line in PAGE.splitlines() if line.startswith("| `KARMAN_")]
    documented = {name for line in table for name in re.findall(r"KARMAN_[A-Z_]+", line.split("|")[1])}

    assert documented == functions | runtime


def test_a_variable_is_said_to_be_read_where_it_is() -> None:
    """F is the functions' model; whoever reads the runtime's has any of the other letters."""
    functions = {variable(field) for field in Settings.model_fields}
    runtime = {f"KARMAN_{field.upper()}" for field in runtime_settings.Settings.model_fields}
    for line in PAGE.splitlines():
        if line.startswith("| `KARMAN_"):
            names, readers = line.split("|")[1:3]
            for name in re.findall(r"KARMAN_[A-Z_]+", names):
                assert ("F" in readers) == (name in functions), name
                assert bool({"L", "W", "C"} & set(readers)) == (name in runtime), name


def test_every_entry_that_is_documented_is_there() -> None:
    entries = re.findall(r"`(karman_\w+(?:\.\w+)*\.handler)`", PAGE)
    assert len(entries) == 5
    for entry in entries:
        module, _, name = entry.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_levels_are_read_in_any_case() -> None:
    assert load_settings({"KARMAN_TABLE": "t", "KARMAN_LOG_LEVEL": "WARNING"}).log_level == "warning"
    assert runtime_settings.load_settings({"KARMAN_LOG_LEVEL": "Info"}).log_level == "info"


def test_retention_reaches_the_engine_and_outlasts_the_queues() -> None:
    assert load_settings({"KARMAN_TABLE": "t", "KARMAN_RETENTION_DAYS": "90"}).engine().retention_seconds == (
        90 * 86_400
    )
    settings = runtime_settings.load_settings(
        {"KARMAN_BACKEND": "aws", "KARMAN_TABLE": "t", "KARMAN_RETENTION_DAYS": "90"}
    )
    with assembled(settings, None) as assembly:
        assert assembly.engine.settings.retention_seconds == 90 * 86_400
    for load in (load_settings, runtime_settings.load_settings):
        with pytest.raises(InvalidRequest, match="KARMAN_RETENTION_DAYS"):
            load({"KARMAN_TABLE": "t", "KARMAN_RETENTION_DAYS": "14"})


def test_fair_queues_can_be_switched_off() -> None:
    assert load_settings({"KARMAN_TABLE": "t"}).aws().fair_queues
    assert not load_settings({"KARMAN_TABLE": "t", "KARMAN_FAIR_QUEUES": "false"}).aws().fair_queues
