"""The API with Exosphere's routes beside Karman's own."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from karman_core.domain.errors import Forbidden, InvalidRequest, PayloadTooLarge, Unauthorized
from karman_core.engine import Engine
from karman_core.engine.access import Principal, Scope
from karman_core.engine.inspecting import Inspector
from karman_core.ports.backend import Backend
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.webhooks import Poster
from karman_functions.api.app import SECURITY_HEADERS, Application, application
from karman_functions.api.bodies import parse_json, with_text_body
from karman_functions.api.callers import IamCaller
from karman_functions.api.context import Services
from karman_functions.api.errors import MalformedRequest
from karman_functions.api.fitting import bytes_in_json
from karman_functions.api.limits import Limits
from karman_functions.exosphere.calls import PREFIX, Call, Route, Tools
from karman_functions.exosphere.directory import Directory
from karman_functions.exosphere.errors import Failed, misfit, translated, unprocessable
from karman_functions.exosphere.names import is_name
from karman_functions.exosphere.routes import ROUTES
from karman_functions.exosphere.settings import ExosphereSettings

REQUEST_ID = "x-exosphere-request-id"


def exosphere_application(  # noqa: PLR0913  each is a thing of its own that a deployment sets
    backend: Backend,
    engine: Engine,
    *,
    clock: Clock,
    entropy: Entropy,
    admin_key: str | None,
    limits: Limits | None = None,
    cors_origins: Sequence[str] = (),
    callers: Sequence[IamCaller] = (),
    settings: ExosphereSettings | None = None,
    poster: Poster | None = None,
) -> ExosphereApplication:
    """The API over a backend and an engine on it, as `api.application` makes it, with `/v0` and `/health`."""
    base = application(
        backend,
        engine,
        clock=clock,
        entropy=entropy,
        admin_key=admin_key,
        limits=limits,
        callers=callers,
        poster=poster,
    )
    tools = Tools(
        engine,
        Inspector.over(backend, clock, entropy, engine.settings),
        Directory(backend.table, clock),
        clock,
        entropy,
        settings or ExosphereSettings(),
        base.services.limits.answer_bytes,
    )
    return ExosphereApplication(base.services, tools, cors_origins=cors_origins)


class ExosphereApplication(Application):
    """Serves `/v0` and `/health` itself, and all else as Application does.

    No rate of a key is limited under `/v0`: Exosphere's workers do not send again what was refused, so a report that is
    turned away would cost the state another execution. Wrong keys are limited as everywhere.
    """

    def __init__(self, services: Services, tools: Tools, *, cors_origins: Sequence[str] = ()) -> None:
        super().__init__(services, cors_origins=cors_origins)
        self._tools = tools

    async def handle(self, event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:  # noqa: ANN401  Lambda's
        """Answer one event. Never raises for what a request holds."""
        path = event["rawPath"]
        if not path.startswith(f"{PREFIX}/") and path.rstrip("/") not in {PREFIX, "/health"}:
            return await super().handle(event, context)
        request_id = self._request_id(event)
        try:
            status, body = await self._serve(event)
        except Exception as error:  # noqa: BLE001  the last resort: every request gets an answer
            status, body = translated(error, request_id)
        text = _dumped(body)
        limit = self.services.limits.answer_bytes
        if limit is not None and bytes_in_json(text) > limit:
            too_large = PayloadTooLarge(f"The answer is over the limit of {limit:,} bytes.")
            status, body = translated(too_large, request_id)
            text = _dumped(body)
        headers = {**SECURITY_HEADERS, "content-type": "application/json", REQUEST_ID: request_id}
        return {"statusCode": status, "headers": headers, "body": text, "isBase64Encoded": False}

    async def _serve(self, event: Mapping[str, Any]) -> tuple[int, Any]:
        route, path = _found(event["requestContext"]["http"]["method"], event["rawPath"])
        principal = None if route.scope is None else await self._admit(event, path, route.scope)
        call = Call(self._tools, path, principal)
        if route.body is None:
            return route.status, await route.handler(call)
        body = _body(route.body, event, self.services.limits.body_bytes)
        return route.status, await route.handler(call, body)

    async def _admit(self, event: Mapping[str, Any], path: Mapping[str, str], scope: Scope) -> Principal:
        """Who asks. Raises Unauthorized, Forbidden, RateLimited, and Failed for what is no namespace."""
        source = event["requestContext"]["http"].get("sourceIp", "")
        self.services.limiter.check_failures(source)
        try:
            principal = await self.services.keys.verify(_header(event, "x-api-key"))
        except Unauthorized:
            self.services.limiter.note_failure(source)
            raise
        namespace = path.get("namespace_name", principal.namespace or "")
        if not principal.may(namespace, scope):
            raise Forbidden(f"The API key does not allow this: it takes scope '{scope}' in this namespace.")
        if "namespace_name" in path and not is_name(namespace):
            message = "A namespace begins with a letter and has letters, digits, _ and - only"
            raise unprocessable("string_pattern_mismatch", ["path", "namespace_name"], message, namespace)
        return principal

    def _request_id(self, event: Mapping[str, Any]) -> str:
        """The client's, if it is a UUID; else a new one."""
        given = _header(event, REQUEST_ID)
        try:
            return str(uuid.UUID(given or ""))
        except ValueError:
            digest = hashlib.sha256(self.services.entropy.token().encode()).digest()
            return str(uuid.UUID(bytes=digest[:16], version=4))


def _dumped(body: Any) -> str:  # noqa: ANN401  JSON
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)


def _found(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and the parameters in its path. Raises Failed: 404, 405."""
    others = False
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match is not None and route.method == method:
            return route, match.groupdict()
        others = others or match is not None
    raise Failed(405, "Method Not Allowed") if others else Failed(404, "Not Found")


def _body(model: type[BaseModel], event: Mapping[str, Any], limit: int) -> BaseModel:
    """What the body says. Raises Failed (422), PayloadTooLarge."""
    try:
        text = with_text_body(event, limit)["body"]
        if text is None:
            raise unprocessable("missing", ["body"], "Field required", None)
        return model.model_validate(parse_json(text))
    except MalformedRequest as error:
        raise unprocessable("json_invalid", ["body", 0], "JSON decode error", {}) from error
    except ValidationError as error:
        raise misfit(error, "body") from error
    except InvalidRequest as error:
        if error.status != InvalidRequest.status:
            raise
        reasons = "; ".join(problem.message for problem in error.problems) or error.message
        raise unprocessable("model_attributes_type", ["body"], reasons, None) from error


def _header(event: Mapping[str, Any], name: str) -> str | None:
    headers = event.get("headers") or {}
    return next((value for given, value in headers.items() if given.lower() == name), None)
