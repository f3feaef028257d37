"""From HTTP (ASGI) to API Gateway's events, payload format 2.0, and back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl


def event_of(scope: Mapping[str, Any], body: bytes, request_id: str) -> dict[str, Any]:
    """The event that API Gateway would send for a request."""
    query = scope.get("query_string", b"").decode("latin-1")
    headers = _joined(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
    )
    cookies = headers.pop("cookie", "")
    text, encoded = _text(body)
    client = scope.get("client") or ("", 0)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": scope["path"],
        "rawQueryString": query,
        "cookies": [cookie.strip() for cookie in cookies.split(";") if cookie.strip()],
        "headers": headers,
        "queryStringParameters": _joined(parse_qsl(query, keep_blank_values=True)),
        "requestContext": {
            "stage": "$default",
            "requestId": request_id,
            "http": {
                "method": scope["method"],
                "path": scope["path"],
                "protocol": f"HTTP/{scope.get('http_version', '1.1')}",
                "sourceIp": client[0],
                "userAgent": headers.get("user-agent", ""),
            },
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


def messages_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What an ASGI server is told to send."""
    body = answer["body"] or ""
    data = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["headers"].items()]
    if answer["statusCode"] not in {204, 304}:
        headers.append((b"content-length", str(len(data)).encode()))
    return [
        {"type": "http.response.start", "status": answer["statusCode"], "headers": headers},
        {"type": "http.response.body", "body": data},
    ]


def start_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """How an answer of unknown length begins."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": encoded}


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What comes more than once is joined by commas, as API Gateway does."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _text(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True
