"""The API's description, for programs and as a page for people. No key: it says nothing of any namespace."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.swagger_ui.html import generate_swagger_html

from karman_functions.api.routing import Resource

resource = Resource("reference")

_SWAGGER = "aws_lambda_powertools.event_handler.openapi.swagger_ui"
_INLINE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'"
"""The page brings its script and style along, so that it works without the internet; it may call this API alone."""

_OWN_WORDS = {
    "<title>Swagger UI</title>": "<title>Karman API</title>",
    'currentUrl.pathname + "?format=json"': '"openapi.json"',
}


@resource.hidden("/openapi.json")
async def get_description() -> Response[str]:
    """The description (OpenAPI 3.1)."""
    return Response(200, "application/json", _description())


@resource.hidden("/docs")
async def get_reference() -> Response[str]:
    """A page that shows the description, and tries requests with a key."""
    headers = {"content-security-policy": f"{_INLINE}; frame-ancestors 'none'"}
    return Response(200, "text/html; charset=utf-8", _page(), headers)


@cache
def _description() -> str:
    # Only when it is asked for: to make it takes half a second, which no cold start shall pay.
    from karman_functions.api.openapi import text  # noqa: PLC0415  (see above)

    return text()


@cache
def _page() -> str:
    script, style = (
        files(_SWAGGER).joinpath(f"swagger-ui{end}").read_text() for end in ("-bundle.min.js", ".min.css")
    )
    page = generate_swagger_html(_description(), script, style, "", None)
    for before, after in _OWN_WORDS.items():
        page = page.replace(before, after)
    return page
