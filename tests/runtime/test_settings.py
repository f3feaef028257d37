"""The environment, as the settings model reads it."""

from pathlib import Path

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_runtime.settings import Settings, environment_variable, load_settings


def test_without_variables_everything_has_its_default() -> None:
    settings = load_settings({"PATH": "/bin", "KARMAN_OF_SOMEBODY_ELSE": "1"})

    assert settings == Settings()
    assert settings.db is None
    assert settings.namespace == "default"


def test_each_field_has_a_variable() -> None:
    settings = load_settings(
        {"KARMAN_DB": "runs.db", "KARMAN_NAMESPACE": "team", "KARMAN_DEBUG": "1", "KARMAN_LOG_LEVEL": "info"}
    )

    assert settings == Settings(db=Path("runs.db"), namespace="team", debug=True, log_level="info")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_settings({"KARMAN_NAMESPACE": "", "KARMAN_DEBUG": ""}) == Settings()


def test_the_region_is_that_of_aws_unless_there_is_one_of_its_own() -> None:
    """boto3 does not read AWS_REGION, which CDK and docs/deploy.md do."""
    assert load_settings({"AWS_REGION": "eu-central-1"}).region == "eu-central-1"
    both = {"AWS_REGION": "eu-central-1", "KARMAN_REGION": "eu-west-1"}
    assert load_settings(both).region == "eu-west-1"
    assert load_settings({"AWS_REGION": ""}).region is None


def test_every_variable_that_cannot_be_used_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings({"KARMAN_BACKEND": "azure", "KARMAN_NAMESPACE": "no spaces"})

    assert [problem.path for problem in caught.value.problems] == ["KARMAN_BACKEND", "KARMAN_NAMESPACE"]


def test_it_reads_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARMAN_DB", "here.db")
    monkeypatch.setenv("API_KEY", "hush")

    assert load_settings().db == Path("here.db")
    assert environment_variable("API_KEY") == "hush"
    assert environment_variable("API_KEY_OF_NOBODY") is None


def test_where_the_api_is_served() -> None:
    settings = load_settings({"KARMAN_HOST": "::1", "KARMAN_PORT": "8800", "KARMAN_API_KEY": "hush"})

    assert (settings.host, settings.port) == ("::1", 8800)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "hush"
    assert "hush" not in repr(settings)


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(InvalidRequest, match="KARMAN_PORT"):
        load_settings({"KARMAN_PORT": "70000"})
