"""`karman login`, `logout` and `profiles`: servers by name, with their keys, in a file for its owner's eyes alone."""

from __future__ import annotations

import ipaddress
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import typer

from karman._internal.http.environment import environment
from karman.profiles import Profile, Profiles, load_profiles, save_profiles
from karman_cli.output import note
from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import Forbidden, InvalidRequest, NotFound

LOCAL = "local"
"""The profile's name of a server on this machine, if none is given."""

_KEY_PARTS = 4
_MAX_KEY = 1_024


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What was saved. `may_read` is False for a key that may trigger or work and no more."""

    profile: str
    url: str
    namespace: str
    file: str
    may_read: bool


async def log_in(url: str, name: str | None, namespace: str | None, key: str) -> LoggedIn:
    """See whether the server takes the key, and save both as the current profile.

    Raises:
        Unauthorized, Forbidden, Unavailable, UnexpectedAnswer, InvalidRequest: nothing was saved.
    """
    from karman_cli.connections.servers import client_for, explained

    space = namespace or _namespace_of(key) or "default"
    _check_name(name)
    async with client_for(url, namespace=space, api_key=key) as client:
        with explained(client):
            await client.health()
            try:
                await anext(aiter(client.graphs(page_size=1)), None)
                may_read = True
            except Forbidden:
                if _namespace_of(key) != space:
                    raise
                may_read = False  # known, and of this namespace: its scope is another one
        found = client.url
    own = name or _name_for(found)
    profile = Profile(url=found, namespace=space, api_key=key)
    path = save_profiles(load_profiles().with_profile(own, profile))
    return LoggedIn(own, found, space, str(path), may_read)


def asked_key(*, from_stdin: bool) -> str:
    """The key, from standard input or from whoever sits at the terminal; it is not shown.

    Raises:
        BadParameter: there is none, or nobody to ask.
    """
    if from_stdin:
        key = sys.stdin.read(_MAX_KEY + 1).strip()
    elif sys.stdin.isatty():
        key = typer.prompt("API key", hide_input=True, err=True).strip()
    else:
        raise typer.BadParameter(
            "without a terminal there is nobody to ask: pipe the key in with --api-key-stdin"
        )
    if not key or len(key) > _MAX_KEY:
        raise typer.BadParameter("there is no API key on standard input" if not key else "this is no API key")
    return key


def log_out(name: str | None) -> tuple[str, Profile]:
    """Forget a profile, by default the current one. Raises NotFound."""
    profiles = load_profiles()
    wanted = name or current(profiles)
    if wanted is None:
        raise NotFound("No profile is current; name one with --profile.")
    profile = profiles.get(wanted)
    save_profiles(profiles.without(wanted))
    if profile is None:
        raise NotFound(f"There is no profile '{wanted}'.")
    return wanted, profile


def use(name: str) -> Profile:
    """Make a profile the current one. Raises NotFound."""
    profiles = load_profiles()
    profile = profiles.get(name)
    if profile is None:
        raise NotFound(f"There is no profile '{name}'.")
    save_profiles(profiles.with_profile(name, profile))
    return profile


def current(profiles: Profiles) -> str | None:
    """The name of the profile that commands take, if any."""
    return environment().get("KARMAN_PROFILE") or profiles.default


def described() -> list[dict[str, Any]]:
    """The profiles, without their keys."""
    profiles = load_profiles()
    chosen = current(profiles)
    return [
        {
            "name": name,
            "current": name == chosen,
            "url": profile.url,
            "namespace": profile.namespace or "default",
            "access": _access(profile),
        }
        for name, profile in profiles.profiles.items()
    ]


def warn_of_plain_text(url: str) -> None:
    """Say that a key to another machine goes unencrypted."""
    if urlsplit(url).scheme == "http" and not _is_local(url):
        note("warning: this server is not on this machine, and the key goes to it unencrypted; use https")


def _access(profile: Profile) -> str:
    if profile.auth == "iam":
        return "AWS credentials"
    return "API key" if profile.api_key else "none"


def _namespace_of(key: str) -> str | None:
    """The namespace that a key of Karman's names: `karman.NAMESPACE.ID.SECRET`. A configured admin key names none."""
    parts = key.split(".")
    named = len(parts) == _KEY_PARTS and parts[0] == "karman" and re.fullmatch(NAME_PATTERN, parts[1])
    return parts[1] if named else None


def _name_for(url: str) -> str:
    if _is_local(url):
        return LOCAL
    name = re.sub(r"[^A-Za-z0-9_-]", "-", urlsplit(url).hostname or "")[:100]
    return name if re.fullmatch(NAME_PATTERN, name) else f"server-{name}"


def _check_name(name: str | None) -> None:
    if name is not None and re.fullmatch(NAME_PATTERN, name) is None:
        raise InvalidRequest(f"'{name}' is no name for a profile; use letters, digits, '-' and '_'.")


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
