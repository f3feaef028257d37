"""The system's clock and randomness. No other module of Karman reads either."""

from __future__ import annotations

import asyncio
import os
import random
import time

_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that reads like a digit."""

_TOKEN_LENGTH = 26

_BYTE_TO_CHARACTER = _ALPHABET * (256 // len(_ALPHABET))
"""256 is a multiple of 32, so every character is as likely as any other: 5 bits each, 130 a token."""


class SystemClock:
    """The wall clock of this machine."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class SystemEntropy:
    """Randomness of the operating system, so that forked and restored processes never repeat each other's."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def uniform(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def token(self) -> str:
        """26 characters of [0-9a-z], 130 bits of randomness."""
        return os.urandom(_TOKEN_LENGTH).translate(_BYTE_TO_CHARACTER).decode("ascii")


def random_bytes(count: int) -> bytes:
    """Bytes for cryptographic keys and nonces, which no test and no simulation may ever replay."""
    return os.urandom(count)
