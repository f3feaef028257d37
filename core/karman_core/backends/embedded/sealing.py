"""Sealing of secrets: AES-256-GCM with a key in a file beside the database; nothing in memory.

The key is a file of its own so that a copy of the database alone gives nothing away. The database holds the key's
fingerprint, so that a missing or exchanged file is noticed before anything is written with the wrong key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from karman_core.backends.embedded.database import Database
from karman_core.backends.system import random_bytes
from karman_core.domain.errors import BackendError, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
"""NIST SP 800-38D: 96 random bits; safe for 2^32 values under one key."""


class Seal(Protocol):
    """Turns secrets into what may be stored."""

    def close(self, scope: str, name: str, value: str) -> bytes:
        """The sealed value; opens under the same scope and name alone."""
        ...

    def open(self, scope: str, name: str, sealed: bytes) -> str:
        """The value. Raises BackendError."""
        ...


class NoSeal:
    """For databases in memory, which nobody but this process can read."""

    def close(self, scope: str, name: str, value: str) -> bytes:  # noqa: ARG002
        """The value as bytes."""
        return value.encode()

    def open(self, scope: str, name: str, sealed: bytes) -> str:  # noqa: ARG002
        """The value as text."""
        return sealed.decode()


class KeyFileSeal:
    """AES-256-GCM; scope and name are authenticated, so a value cannot be moved to another place in the file."""

    def __init__(self, database: Database, path: Path) -> None:
        self._database = database
        self._path = path
        self._cipher: AESGCM | None = None

    def close(self, scope: str, name: str, value: str) -> bytes:
        """Nonce and ciphertext."""
        nonce = random_bytes(_NONCE_BYTES)
        return nonce + self._loaded().encrypt(nonce, value.encode(), _place(scope, name))

    def open(self, scope: str, name: str, sealed: bytes) -> str:
        """Raises BackendError if it was sealed with another key or for another place."""
        cipher = self._loaded()
        invalid_tag: type[Exception] = _cryptography("exceptions").InvalidTag
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _place(scope, name)).decode()
        except (invalid_tag, ValueError) as error:  # ValueError: too short to have a nonce
            raise BackendError(
                f"the secret {name!r} of {scope!r} does not open with the key in {self._path}; set it again"
            ) from error

    def _loaded(self) -> AESGCM:
        if self._cipher is None:
            aead = _cryptography("hazmat.primitives.ciphers.aead")
            self._cipher = aead.AESGCM(self._key())
        return self._cipher

    def _key(self) -> bytes:
        """The key of the file, which is made for the first secret."""
        # The write transaction keeps two processes from making a key each.
        with self._database.write() as connection:
            row = connection.execute("SELECT fingerprint FROM secret_keys").fetchone()
            key = self._read()
            if key is None:
                if row is not None:
                    raise BackendError(
                        f"{self._path} is missing, and the secrets in {self._database.path} need it; put it back,"
                        " or delete the secrets and set them again"
                    )
                key = self._create()
            fingerprint = hashlib.sha256(b"karman secret key" + key).hexdigest()
            if row is None:
                connection.execute("INSERT INTO secret_keys (fingerprint) VALUES (?)", (fingerprint,))
            elif row[0] != fingerprint:
                raise BackendError(
                    f"{self._path} is not the key that the secrets in {self._database.path} were sealed with;"
                    " put the right one back"
                )
        return key

    def _read(self) -> bytes | None:
        try:
            mode = self._path.stat().st_mode
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error.strerror}; check its owner") from error
        if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BackendError(f"{self._path} can be used by others; close it with: chmod 600 {self._path}")
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise BackendError(f"{self._path} holds no key (32 bytes in base64); put the right file back")
        return key

    def _create(self) -> bytes:
        key = random_bytes(_KEY_BYTES)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.b64encode(key) + b"\n")
                file.flush()
                os.fsync(file.fileno())  # once in a file's life; without the key every secret is lost
            temporary.replace(self._path)
        except OSError as error:
            raise Unavailable(
                f"{self._path} cannot be written: {error.strerror}; check its directory"
            ) from error
        return key


def _place(scope: str, name: str) -> bytes:
    return json.dumps([scope, name]).encode()


def _cryptography(module: str) -> Any:  # noqa: ANN401 - a module
    """A module of `cryptography`, loaded when it is used: who keeps no secrets in a file need not install it."""
    try:
        return import_module(f"cryptography.{module}")
    except ImportError as error:
        raise BackendError("secrets need the package cryptography: pip install 'karman[worker]'") from error
