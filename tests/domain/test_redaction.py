from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.redaction import MASK, SHORTEST, redacted

SECRET = 'pa\'ss "wörd"/+&\n\\'
PEM = f"-----BEGIN KEY-----\n{'A1b2' * 16}\n{'C3d4' * 16}\nEND\n"


@pytest.mark.parametrize(
    "quoted",
    [
        SECRET,
        repr(SECRET),
        repr({"key": SECRET}),
        json.dumps([SECRET]),
        json.dumps(SECRET, ensure_ascii=False),
        f"https://example.com/?q={quote_plus(SECRET)}&a=b",
        f"Authorization: Basic {base64.b64encode(SECRET.encode()).decode()}",
    ],
)
def test_a_secret_is_found_as_errors_quote_it(quoted: str) -> None:
    text = redacted(f"refused: {quoted}!", [SECRET])
    assert MASK in text
    assert text.startswith("refused: ")
    assert "rd" not in text.replace("words", "")


def test_lines_of_a_long_secret_are_found_by_themselves() -> None:
    assert redacted(f"bad line {'C3d4' * 16}", [PEM]) == f"bad line {MASK}"
    assert redacted("THE END", [PEM]) == "THE END"


def test_one_secret_may_be_part_of_another() -> None:
    assert redacted("hushhush hush", ["hush", "hushhush"]) == f"{MASK} {MASK}"


def test_short_secrets_are_words() -> None:
    assert redacted("abc abcd", ["abc", ""]) == "abc abcd"
    assert redacted("abc abcd", ["abcd"]) == f"abc {MASK}"


@given(st.text(), st.text(min_size=SHORTEST), st.text())
def test_no_secret_is_left(before: str, secret: str, after: str) -> None:
    text = redacted(before + secret + after, [secret])
    assert secret not in text or secret in MASK or MASK[:1] in secret


@given(st.text(alphabet="abc "))
def test_other_texts_are_left_alone(text: str) -> None:
    assert redacted(text, ["wholly different"]) == text
