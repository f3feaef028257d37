"""A diagram as a Mermaid flowchart, for pages that render those (GitHub, GitLab, most wikis)."""

from __future__ import annotations

from karman_cli.drawing.diagram import Arrow, Diagram, Kind

_ESCAPES = str.maketrans({'"': "#quot;", "<": "#lt;", ">": "#gt;", "|": "#124;"})


def mermaid(diagram: Diagram) -> str:
    """The flowchart's text."""
    # Identifiers may be words of Mermaid's own (`end`), so the boxes go by number.
    number = {box.identifier: f"n{index}" for index, box in enumerate(diagram.boxes)}
    lines = ["flowchart TD"]
    for box in diagram.boxes:
        text = "<br/>".join(line.translate(_ESCAPES) for line in box.lines)
        lines.append(f'    {number[box.identifier]}["{text}"]')
    lines += [f"    {number[arrow.source]} {_line(arrow)} {number[arrow.target]}" for arrow in diagram.arrows]
    return "\n".join([*lines, ""])


def _line(arrow: Arrow) -> str:
    if arrow.kind is Kind.NEXT:
        return "-->"
    label = arrow.label if arrow.kind is Kind.LOOP else "unites"
    return f'-.->|"{label.translate(_ESCAPES)}"|'
