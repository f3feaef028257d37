"""Trace context: which trace of OpenTelemetry a run belongs to, in W3C's words (https://www.w3.org/TR/trace-context/).

A trigger may name its trace; it rides in the run's header and its messages, and every node is told. Karman makes no
spans of its own: what a node reports becomes a child of the span that triggered the run.
"""

from __future__ import annotations

import re

_TRACE_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_VERSION = "ff"
_X_RAY_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_X_RAY_PARENT = re.compile(r"[0-9a-f]{16}")


def trace_parent(text: str | None) -> str | None:
    """A `traceparent` as version 00 writes it; None for one that is not valid, which the standard has us ignore."""
    found = _TRACE_PARENT.fullmatch((text or "").strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    known = version != _NO_VERSION and (more is None or version != "00")
    if not known or not int(trace, 16) or not int(span, 16):
        return None
    return f"00-{trace}-{span}-{flags}"


def from_x_ray(header: str | None) -> str | None:
    """The `traceparent` of an X-Ray trace header (`Root=1-...;Parent=...;Sampled=1`); None without root and parent.

    The form is https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
    """
    parts = dict(part.strip().partition("=")[::2] for part in (header or "").split(";"))
    root = _X_RAY_ROOT.fullmatch(parts.get("Root", ""))
    parent = parts.get("Parent", "")
    if root is None or not _X_RAY_PARENT.fullmatch(parent):
        return None
    return trace_parent(f"00-{root[1]}{root[2]}-{parent}-{'01' if parts.get('Sampled') == '1' else '00'}")
