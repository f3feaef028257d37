"""Did you mean: the nearest of the names that exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 12


def suggest(name: str, known: Iterable[str], kind: str) -> str:
    """What to say after "there is no ...": the nearest name, and what there is. A clause that ends a sentence."""
    names = sorted(known)
    if not names:
        return f"there are no {kind}."
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{hint}The {kind} are: {shown}." if near else f"the {kind} are: {shown}."
