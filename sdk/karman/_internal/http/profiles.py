"""Servers by name, in a file that `karman login` writes.

    default = "local"

    [profiles.local]
    url = "http://127.0.0.1:8700"
    namespace = "default"
    api_key = "karman.default...."

    [profiles.production]
    url = "https://karman.example.com"
    auth = "iam"
    region = "eu-central-1"

The file is `$XDG_CONFIG_HOME/karman/profiles.toml`, by default in `~/.config`. It holds keys, so nobody but its owner
may read it.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from karman._internal.http.environment import environment
from karman.errors import InvalidRequest, NotFound, Problem
from karman_core.domain.definition import NAME_PATTERN

ProfileName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Profile(BaseModel):
    """A server, and how to speak to it.

    Attributes:
        url: of the server, `http://` or `https://`.
        namespace: None for `default`.
        api_key: for `auth` "key".
        auth: "key" for an API key, "iam" for requests signed with AWS credentials.
        region: of AWS, for "iam"; None for that of the AWS configuration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(pattern=r"^https?://[^\s/]+")
    namespace: ProfileName | None = None
    api_key: str | None = Field(default=None, repr=False)
    auth: Literal["key", "iam"] = "key"
    region: str | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    default: str | None = None
    profiles: dict[ProfileName, Profile] = {}


@dataclass(frozen=True, slots=True)
class Profiles:
    """What a file of profiles says. `default` is the name of the one that is taken when none is named."""

    default: str | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def get(self, name: str | None = None) -> Profile | None:
        """The profile, by default the default one, which there need not be. Raises NotFound for a name that is none."""
        if name is None and self.default is None:
            return None
        wanted = name or self.default or ""
        if wanted not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise NotFound(f"There is no profile '{wanted}'; there are: {known}. `karman login` makes them.")
        return self.profiles[wanted]

    def with_profile(self, name: str, profile: Profile, *, default: bool = True) -> Profiles:
        """With one more, or another one of that name."""
        chosen = name if default or self.default is None else self.default
        return replace(self, default=chosen, profiles={**self.profiles, name: profile})

    def without(self, name: str) -> Profiles:
        """With one less."""
        left = {each: profile for each, profile in self.profiles.items() if each != name}
        return Profiles(None if self.default == name else self.default, left)


def profiles_path(variables: Mapping[str, str] | None = None) -> Path:
    """Where the file is."""
    home = (environment() if variables is None else variables).get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "karman" / "profiles.toml"


def load_profiles(path: Path | None = None) -> Profiles:
    """The profiles in the file; none if there is no file.

    Raises:
        InvalidRequest: it is not what such a file looks like. The message shows no values.
    """
    path = path or profiles_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The profiles in {path} cannot be read: {type(error).__name__}.") from None
    try:
        found = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"The profiles in {path} are not TOML: {error}.") from None
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, each["loc"])), "invalid_profile", f"{each['msg']}.")
            for each in error.errors(include_input=False)
        ]
        raise InvalidRequest(f"The profiles in {path} cannot be used.", problems) from None
    return Profiles(found.default, found.profiles)


def save_profiles(profiles: Profiles, path: Path | None = None) -> Path:
    """Write the file, whole or not at all, for its owner's eyes alone; gives its path."""
    path = path or profiles_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(_lines(profiles)))
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return path


def _lines(profiles: Profiles) -> Iterator[str]:
    if profiles.default is not None:
        yield f"default = {_text(profiles.default)}"
        yield ""
    for name, profile in profiles.profiles.items():
        yield f"[profiles.{name}]"
        for key, value in profile.model_dump(exclude_none=True, exclude_defaults=True).items():
            yield f"{key} = {_text(value)}"
        yield ""


def _text(value: str) -> str:
    """As a basic string of TOML, which differs from JSON's in that it may not hold DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
