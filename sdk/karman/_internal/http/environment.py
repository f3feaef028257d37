"""The environment of the process, as far as the client reads it: here, when a client is made, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """The variables. Empty ones count as unset."""
    return {name: value for name, value in os.environ.items() if value}
