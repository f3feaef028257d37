"""The secret port on Parameter Store: SecureString parameters `/{prefix}/{namespace}/{graph}/{name}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from karman_core.backends.aws.backoff import chunks, each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.names import escaped, parameter_path, unescaped
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import BackendError, ItemTooLarge, KarmanError

MAX_VALUE_BYTES = 8 * 1024
"""Parameter Store: an advanced parameter. One of up to 4 KB is a standard one, which costs nothing."""

_BATCH = 10


class ParameterStoreSecrets:
    """All secrets of a deployment."""

    def __init__(self, clients: AwsClients, settings: AwsSettings) -> None:
        self._clients = clients
        self._settings = settings

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    async def put(self, scope: str, values: Mapping[str, str]) -> None:
        """Set or replace each value, one after the other. Raises ItemTooLarge before it sets any."""
        for name, value in values.items():
            _check(name, value)
        key: dict[str, Any] = {}
        if self._settings.secrets_key_id is not None:
            key["KeyId"] = self._settings.secrets_key_id
        for name, value in values.items():
            # Parameter Store repeats in its errors what it did not like, and it may not like a value.
            with _silently(f"the secret {name!r} could not be set"):
                await self._clients.call(
                    self._clients.ssm.put_parameter,
                    Name=self._path(scope) + escaped(name),
                    Value=value,
                    Type="SecureString",
                    Tier="Intelligent-Tiering",
                    Overwrite=True,
                    **key,
                )

    async def get(self, scope: str, names: Sequence[str]) -> dict[str, str]:
        """The values that exist among the names."""
        path = self._path(scope)
        wanted = {path + escaped(name): name for name in names}
        found: dict[str, str] = {}

        async def get_batch(batch: Sequence[str]) -> None:
            answer = await self._clients.call(
                self._clients.ssm.get_parameters, Names=batch, WithDecryption=True
            )
            found.update({wanted[each["Name"]]: each["Value"] for each in answer["Parameters"]})

        await each(get_batch, chunks(wanted, _BATCH))
        return found

    async def names(self, scope: str) -> list[str]:
        """The names in a scope, sorted. Their values are not decrypted."""
        path = self._path(scope)
        read = partial(self._clients.ssm.get_parameters_by_path, Path=path, MaxResults=_BATCH)
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = await self._clients.call(read, **token)
            found += [unescaped(each["Name"].removeprefix(path)) for each in page["Parameters"]]
            if not page.get("NextToken"):
                return sorted(found)
            token = {"NextToken": page["NextToken"]}

    async def delete(self, scope: str, names: Sequence[str]) -> None:
        """Remove; no error for names that do not exist."""
        path = self._path(scope)

        async def delete_batch(batch: Sequence[str]) -> None:
            await self._clients.call(self._clients.ssm.delete_parameters, Names=batch)

        await each(delete_batch, chunks(dict.fromkeys(path + escaped(name) for name in names), _BATCH))

    def _path(self, scope: str) -> str:
        return parameter_path(self._settings.prefix, scope)


def _check(name: str, value: object) -> None:
    """Refuse what cannot be stored, without showing it: an error's text, arguments and attributes end up in logs."""
    if not isinstance(value, str):
        raise TypeError(f"the value of the secret {name!r} is a {type(value).__name__}, not text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"the value of the secret {name!r} is not valid Unicode")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise ItemTooLarge(f"the value of the secret {name!r} is over {MAX_VALUE_BYTES} bytes")


@contextmanager
def _silently(what: str) -> Iterator[None]:
    """Let errors through without their text and their cause."""
    try:
        yield
    except KarmanError as error:
        kind = type(error) if isinstance(error, BackendError) else BackendError
        raise kind(f"{what} ({error.code}); the text of the error is withheld") from None
