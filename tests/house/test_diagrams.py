"""The diagrams in the documentation show the statuses and transitions that the code has."""

from karman_core.domain.transitions import RUN_TRANSITIONS, STATE_TRANSITIONS
from tests.house.diagrams import MARKED, PAGE, diagrams, redrawn


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert {part[2] for part in MARKED.finditer(page)} == set(diagrams())
    assert page == redrawn(page), "docs/states.md is out of date; run: python -m tests.house.diagrams"


def test_every_transition_is_drawn() -> None:
    tables = {
        "states": {
            (source.value, target.value) for source, after in STATE_TRANSITIONS.items() for target in after
        },
        "runs": {
            (source.value, target.value) for source, after in RUN_TRANSITIONS.items() for target in after
        },
    }
    for name, transitions in tables.items():
        group, drawn = "", set()
        inside: set[str] = set()
        for line in diagrams()[name].splitlines():
            words = line.split()
            if words[:1] == ["state"]:
                group = words[1]
            elif len(words) == 1 and line.startswith("        "):
                inside.add(words[0])
            elif "-->" in words and "[*]" not in words:
                sources = inside if words[0] == group else {words[0]}
                drawn |= {(source, words[2]) for source in sources}
        assert drawn == transitions
