"""Where the server is and who asks: arguments, then the environment, then the profile.

A profile's key goes to that profile's server and to no other: whoever names another URL names the key too.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import httpx

from karman._internal.http.environment import environment
from karman._internal.http.profiles import Profile, load_profiles, profiles_path
from karman._internal.http.signing import SigV4Auth
from karman.errors import InvalidRequest
from karman_core.domain.definition import NAME_PATTERN

DEFAULT_NAMESPACE = "default"


class ApiKeyAuth(httpx.Auth):
    """Sends an API key. Added to each request as it goes out, so that no repr shows it."""

    def __init__(self, key: str) -> None:
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise InvalidRequest("The API key has characters that no key has; was it copied whole?")
        self._key = key

    def __repr__(self) -> str:
        return "ApiKeyAuth(...)"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers["x-api-key"] = self._key
        yield request


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a client needs to know."""

    url: str
    namespace: str
    auth: httpx.Auth | None = field(repr=False)


def configure(
    url: str | None,
    *,
    api_key: str | None,
    namespace: str | None,
    profile: str | None,
    auth: httpx.Auth | None,
) -> Configuration:
    """Find out.

    Raises:
        InvalidRequest: no URL is known, or something is malformed.
        NotFound: there is no profile of that name.
    """
    variables = environment()
    complete = profile is None and url and namespace and (api_key or auth)
    chosen = None if complete else _profile(profile, variables)
    # A profile that an argument names is an argument: it comes before the environment.
    surroundings = {} if profile is not None else variables
    named_url = url or surroundings.get("KARMAN_URL")
    found = _url(named_url or (chosen.url if chosen else None))
    trusted = chosen if chosen and (named_url is None or found == _url(chosen.url)) else None
    space = namespace or surroundings.get("KARMAN_NAMESPACE") or (trusted.namespace if trusted else None)
    key = api_key or surroundings.get("KARMAN_API_KEY")
    return Configuration(found, _namespace(space or DEFAULT_NAMESPACE), auth or _auth(key, trusted))


def _profile(name: str | None, variables: Mapping[str, str]) -> Profile | None:
    return load_profiles(profiles_path(variables)).get(name or variables.get("KARMAN_PROFILE"))


def _auth(key: str | None, profile: Profile | None) -> httpx.Auth | None:
    if key is None and profile is not None:
        if profile.auth == "iam":
            return SigV4Auth(region=profile.region)
        key = profile.api_key
    return ApiKeyAuth(key) if key else None


def _url(url: str | None) -> str:
    if url is None:
        raise InvalidRequest(
            "No server is known: give a URL, set KARMAN_URL, or make a profile with `karman login`."
        )
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidRequest(f"The server's URL is none: {error}.") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo or parsed.query:
        raise InvalidRequest("The server's URL must be http(s)://HOST[:PORT][/PATH], without user and query.")
    return str(parsed).rstrip("/")


def _namespace(namespace: str) -> str:
    if re.fullmatch(NAME_PATTERN, namespace) is None:
        raise InvalidRequest(f"'{namespace}' is no name of a namespace.")
    return namespace
