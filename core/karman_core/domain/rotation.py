"""How long a secret goes on beside the one that a rotation has put in its place: of keys and of webhooks alike."""

from __future__ import annotations

from typing import Final

DEFAULT_OVERLAP_SECONDS: Final = 86_400
MAX_OVERLAP_SECONDS: Final = 30 * 86_400
