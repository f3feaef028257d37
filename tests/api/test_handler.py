"""Lambda's entry, over moto's services, and the settings that it reads."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from karman_core.backends.aws import AwsBackend
from karman_core.backends.aws.schema import create_table
from karman_core.domain.errors import InvalidRequest
from karman_functions.api import handler as module
from karman_functions.settings import Settings, load_settings, variable
from tests.api.client import NS, event
from tests.contract.backends.moto import _one_at_a_time
from tests.quiet_logs import logs_put_back

ENVIRONMENT = {
    "KARMAN_TABLE": "karman-test",
    "KARMAN_PREFIX": "test",
    "KARMAN_REGION": "us-east-1",
    "KARMAN_API_KEY": "the-admin-key",
    "KARMAN_RATE": "0",
    "KARMAN_CORS_ORIGINS": "https://a.example, https://b.example",
}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[module.Instance]:
    for name, value in {**ENVIRONMENT, **CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    _one_at_a_time()
    with mock_aws(), logs_put_back():
        module.instance.cache_clear()
        made = module.instance()
        yield made
        made.process.close()
        module.instance.cache_clear()


def test_requests_of_one_instance(instance: module.Instance) -> None:
    services = instance.application.services
    made = AwsBackend.open(load_settings(ENVIRONMENT).aws(), clock=services.clock, entropy=services.entropy)
    instance.loop.run(create_table(made.clients, "karman-test"))
    made.close()
    base = f"/v1/namespaces/{NS}"

    registered = module.handler(
        event("PUT", f"{base}/nodes", {"runtime": "rt", "nodes": [{"name": "a"}]}), None
    )
    listed = module.handler(event("GET", f"{base}/nodes"), None)
    refused = module.handler(event("GET", f"{base}/nodes", key="karman.ns.id.secret"), None)
    exosphere = module.handler(event("GET", f"/v0/namespace/{NS}/nodes/"), None)

    assert [answer["statusCode"] for answer in (registered, listed, refused, exosphere)] == [
        200,
        200,
        401,
        200,
    ]
    assert '"name":"a"' in listed["body"]
    assert services.limits.requests_per_second is None


def test_the_environment_is_read_once_and_whole() -> None:
    settings = load_settings(ENVIRONMENT | {"KARMAN_BUCKET": "", "OTHER": "x"})

    assert settings == Settings(
        table_name="karman-test",
        prefix="test",
        region="us-east-1",
        api_key=settings.api_key,
        rate=0,
        cors_origins="https://a.example, https://b.example",
    )
    assert "the-admin-key" not in repr(settings)
    assert settings.aws().table_name == "karman-test"
    assert variable("table_name") == "KARMAN_TABLE"


def test_what_is_wrong_with_the_environment_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        load_settings({"KARMAN_RATE": "fast", "KARMAN_API_KEY": "hush"})

    assert [problem.path for problem in refused.value.problems] == ["KARMAN_RATE", "KARMAN_TABLE"]
    assert "hush" not in str(refused.value)
