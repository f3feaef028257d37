"""Trace context: what of it is taken, and that messages carry it."""

import json

import pytest

from karman_core.domain.message_bodies import decode, encode
from karman_core.domain.messages import Advance, ForeignMessage, Position, RunRef
from karman_core.domain.tracing import from_x_ray, trace_parent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (GOOD, GOOD),
        (f" {GOOD} ", GOOD),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", GOOD),
        (f"cc-{TRACE}-{SPAN}-01", GOOD),
        (f"{GOOD}-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (GOOD.upper(), None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"cc-{TRACE}-{SPAN}-01.", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_a_trace_parent(text: str | None, taken: str | None) -> None:
    assert trace_parent(text) == taken


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1", GOOD),
        (f"Parent={SPAN}; Root=1-{TRACE[:8]}-{TRACE[8:]}; Lineage=a:0", f"00-{TRACE}-{SPAN}-00"),
        (f"Root=1-{TRACE[:8]}-{TRACE[8:]}", None),
        (f"Root=1-{TRACE};Parent={SPAN}", None),
        (f"Parent={SPAN}", None),
        ("", None),
        (None, None),
    ],
)
def test_what_x_ray_says(header: str | None, taken: str | None) -> None:
    assert from_x_ray(header) == taken


@pytest.mark.parametrize("trace", [None, GOOD])
def test_messages_carry_it(trace: str | None) -> None:
    message = Advance(Position(RunRef("ns", "r1", "g", 1, 0, 5, trace), (), 0, "a"))
    body = json.loads(encode(message))

    assert decode(json.dumps(body)) == message
    assert ("tp" in body) == (trace is not None)


def test_one_that_is_no_text_is_foreign() -> None:
    body = json.loads(encode(Advance(Position(RunRef("ns", "r1", "g", 1, 0, 5), (), 0, "a"))))

    with pytest.raises(ForeignMessage):
        decode(json.dumps(body | {"tp": 7}))
