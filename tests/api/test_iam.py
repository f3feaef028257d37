"""Callers who sign with AWS credentials: events as API Gateway sends them once it has checked the signature."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_functions.api.callers import IamCaller
from karman_functions.settings import load_settings
from tests.api.client import NS, OTHER, Answer, Api, event

ACCOUNT = "123456789012"
CI = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build-7"
ANN = f"arn:aws:iam::{ACCOUNT}:user/team/ann"
CALLERS = json.dumps(
    [
        {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/*", "namespace": NS, "scopes": ["trigger"]},
        {"arn": CI, "namespace": NS, "scopes": ["read"]},
        {"arn": f"arn:aws:iam::{ACCOUNT}:user/*", "namespace": "*", "scopes": ["read"]},
        {"arn": f"arn:aws:iam::{ACCOUNT}:user/root-of-it-all", "namespace": "*", "scopes": ["admin"]},
    ]
)


def signed(method: str, path: str, body: object = None, *, by: str | None, **more: Any) -> dict[str, Any]:
    """A request through a route with IAM authorization."""
    sent = event(method, path, body, **{"key": None, **more})
    sent["headers"]["authorization"] = (
        "AWS4-HMAC-SHA256 Credential=ASIA/20260312/eu-west-1/execute-api/aws4_request"
    )
    sent["requestContext"]["authorizer"] = {
        "iam": {
            "accessKey": "ASIAIOSFODNN7EXAMPLE",
            "accountId": ACCOUNT,
            "callerId": "AROAJQABLZS4A3QDU576Q:build-7",
            "cognitoIdentity": None,
            "principalOrgId": "o-1234567890",
            "userArn": by,
            "userId": "AROAJQABLZS4A3QDU576Q:build-7",
        }
    }
    return sent


def settings(callers: str) -> tuple[IamCaller, ...]:
    return load_settings({"KARMAN_TABLE": "t", "KARMAN_IAM_CALLERS": callers}).iam_callers


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api(callers=settings(CALLERS))
    yield made
    made.backend.close()


async def ask(
    api: Api, by: str | None, method: str = "GET", path: str = f"/v1/namespaces/{NS}/nodes"
) -> Answer:
    return await api.send(signed(method, path, {} if method == "POST" else None, by=by))


async def test_an_identity_does_what_its_scopes_say_where_it_has_them(api: Api) -> None:
    await api.graph()
    runs = f"/v1/namespaces/{NS}/graphs/g/runs"

    assert (await ask(api, CI)).status == 200
    assert (await ask(api, CI, "POST", runs)).status == 201
    assert (await ask(api, CI.replace("build-7", "build-8"), "POST", runs)).status == 201
    assert (await ask(api, ANN)).status == 200
    assert (await ask(api, ANN, path=f"/v1/namespaces/{OTHER}/nodes")).status == 200


@pytest.mark.parametrize(
    ("by", "method", "path"),
    [
        (CI, "GET", f"/v1/namespaces/{OTHER}/nodes"),
        (CI, "GET", f"/v1/namespaces/{NS}/keys"),
        (CI.replace("build-7", "build-8"), "GET", f"/v1/namespaces/{NS}/nodes"),
        (CI.replace("/ci/", "/cicd/"), "GET", f"/v1/namespaces/{NS}/nodes"),
        (CI.replace(ACCOUNT, "210987654321"), "GET", f"/v1/namespaces/{NS}/nodes"),
        (f"x{CI}", "GET", f"/v1/namespaces/{NS}/nodes"),
        (ANN, "POST", f"/v1/namespaces/{NS}/graphs/g/runs"),
        (ANN, "GET", "/v1/namespaces"),
        (CI, "GET", "/v1/namespaces"),
    ],
)
async def test_an_identity_does_nothing_else(api: Api, by: str, method: str, path: str) -> None:
    await api.graph(OTHER)

    refused = await ask(api, by, method, path)

    assert (refused.status, refused.code) == (403, "forbidden")
    assert OTHER not in refused.text.replace("/other", "")


async def test_an_administrator_of_all_namespaces_is_the_servers(api: Api) -> None:
    root = f"arn:aws:iam::{ACCOUNT}:user/root-of-it-all"
    await api.graph(OTHER)

    assert (await ask(api, root, path="/v1/namespaces")).body["namespaces"] == [OTHER]
    node = {"identifier": "x", "node_name": "a", "namespace": OTHER}
    sent = signed("PUT", f"/v1/namespaces/{NS}/graphs/h", {"definition": {"nodes": [node]}}, by=root)
    assert (await api.send(sent)).body["valid"]


async def test_without_a_mapping_every_signature_is_refused() -> None:
    api = Api()
    assert (await ask(api, CI)).code == "forbidden"
    api.backend.close()


@pytest.mark.parametrize(
    "authorizer", [None, {}, {"iam": None}, {"iam": {}}, {"iam": {"userArn": None}}, {"jwt": {}}]
)
async def test_an_event_without_a_signer_takes_a_key(api: Api, authorizer: Any) -> None:
    sent = signed("GET", f"/v1/namespaces/{NS}/nodes", by=None)
    sent["requestContext"]["authorizer"] = authorizer

    assert (await api.send(sent)).code == "unauthorized"


async def test_a_key_that_is_sent_is_the_one_that_counts(api: Api) -> None:
    path = f"/v1/namespaces/{NS}/nodes"
    wrong = signed("GET", path, by=CI, key="karman.ns.a.b")
    mine = signed("GET", f"/v1/namespaces/{NS}/keys", by=CI, key=await api.key("admin"))

    assert (await api.send(wrong)).status == 401
    assert (await api.send(mine)).status == 200


async def test_no_header_stands_for_the_gateways_word(api: Api) -> None:
    headers = {"x-amzn-iam-user-arn": CI, "authorizer": json.dumps({"iam": {"userArn": CI}})}
    sent = event("GET", f"/v1/namespaces/{NS}/nodes", headers=headers, key=None)

    assert (await api.send(sent)).status == 401


@pytest.mark.parametrize(
    "wrong",
    [
        "CI",
        "{}",
        '[{"arn": "*", "namespace": "ns", "scopes": ["read"]}]',
        '[{"arn": "arn:aws:iam::*:user/ann", "namespace": "ns", "scopes": ["read"]}]',
        '[{"arn": "arn:aws:iam::123456789012:user/ann", "namespace": "n s", "scopes": ["read"]}]',
        '[{"arn": "arn:aws:iam::123456789012:user/ann", "namespace": "ns", "scopes": []}]',
        '[{"arn": "arn:aws:iam::123456789012:user/ann", "namespace": "ns", "scopes": ["root"]}]',
        '[{"arn": "arn:aws:iam::123456789012:user/ann", "scopes": ["read"]}]',
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        settings(wrong)

    assert {problem.path for problem in refused.value.problems} == {"KARMAN_IAM_CALLERS"}
