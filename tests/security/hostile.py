"""What an attacker would write where text may stand, and how to see that none of it has come through."""

from __future__ import annotations

import re

ESCAPES = (
    "\x1b[2J\x1b[1;1H",  # clears the screen
    "\x1b]0;title\x07",  # renames the window
    "\x1b]52;c;cm0gLXJmIH4=\x07",  # fills the clipboard
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",  # a link that says something else
    "\x9b31m",  # the same in one character of eight bits
    "line\rover",
    "back\x08\x08\x08\x08",
    "\x7f\x00\x05",
    "abc\u202egnp.exe",  # reads as abcexe.png
    "\u2066x\u2069",
)
MARKUP = ("[red]x", "[/]", "[/nope]", "[link=http://evil.example]x[/link]", "[bold", r"\[", ":boom:")
FORGED = "fine\n2026-01-01 12:00:00 error karman: forged status=SUCCEEDED"
EVERYTHING = "".join(ESCAPES) + "".join(MARKUP) + FORGED

PATHS = (
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "%2e%2e%2f",
    "%2f",
    "..%2f..%2fetc",
    "a#keys",
    "ns#keys",
    "x#store",
    "x#run#y",
    "a\x00b",
    "a\nb",
    "~",
    "$(id)",
    "`id`",
    "; rm -rf",
    "C:con",
    "a|b",
    "*",
    "é",
    " ",
    ".",
)

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def obeyed(text: str) -> list[str]:
    """The characters of a text that a terminal obeys."""
    return _OBEYED.findall(text)
