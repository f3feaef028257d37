"""How user data lies in the table: as one JSON text, compressed when that pays."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from karman_core.domain.definition import JSON

_COMPRESS_FROM = 600
"""Shorter texts share one write unit with the rest of the record anyway."""


def dumps(value: JSON) -> str:
    """Compact JSON. Lone surrogates, which UTF-8 cannot hold, make the text ASCII with escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def pack(value: JSON) -> str | bytes:
    """The attribute that holds a JSON value."""
    text = dumps(value)
    if len(text) < _COMPRESS_FROM:
        return text
    data = text.encode()
    squeezed = zlib.compress(data, 6)
    return squeezed if len(squeezed) < len(data) else text


def unpack(packed: str | bytes) -> JSON:
    """The reverse of `pack`."""
    return json.loads(zlib.decompress(packed) if isinstance(packed, bytes) else packed)


def unpack_object(packed: str | bytes | None) -> Mapping[str, JSON] | None:
    """The object that an attribute holds, None when there is no attribute."""
    if packed is None:
        return None
    value: Mapping[str, JSON] = unpack(packed)
    return value


def packed_size(packed: str | bytes) -> int:
    """Bytes that the attribute takes."""
    return len(packed) if isinstance(packed, bytes) else len(packed.encode())
