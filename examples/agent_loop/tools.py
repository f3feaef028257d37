"""What the agent can do. A tool that changes something outside of the run is dangerous: a person is asked first."""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from .calculator import calculate
from .conversation import ToolCall, ToolResult, ToolSpec

PATTERNS = ("*.md", "*.rst", "*.txt")
MATCHES = 3
MAX_RESULT_CHARACTERS = 4_000


@dataclass(frozen=True)
class Workspace:
    """The two folders that tools may touch: documents are read, notes written."""

    documents: Path
    notes: Path


class Expression(BaseModel):
    """Arguments of `calculate`."""

    expression: str = Field(description="such as (3 + 4) * sqrt(2)")


class Query(BaseModel):
    """Arguments of `search_documents`."""

    query: str = Field(description="a few words")


class Note(BaseModel):
    """Arguments of `write_note`."""

    title: str = Field(min_length=1, description="names the file")
    text: str


@dataclass(frozen=True)
class Tool:
    """A tool. `run` returns text for the model, and raises ValueError for what the model should do otherwise."""

    name: str
    description: str
    arguments: type[BaseModel]
    run: Callable[[Any, Workspace], str]
    dangerous: bool = False

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            name=self.name, description=self.description, parameters=self.arguments.model_json_schema()
        )


def use(call: ToolCall, workspace: Workspace) -> ToolResult:
    """Do what the model asks for. Its mistakes are results, so that it can learn from them."""
    tool = TOOLS.get(call.name)
    if tool is None:
        return ToolResult(id=call.id, text=f"there is no tool {call.name}", failed=True)
    try:
        text = tool.run(tool.arguments.model_validate(call.arguments), workspace)
    except ValidationError as error:
        return ToolResult(id=call.id, text=f"wrong arguments: {error}", failed=True)
    except ValueError as error:
        return ToolResult(id=call.id, text=str(error), failed=True)
    return ToolResult(id=call.id, text=text[:MAX_RESULT_CHARACTERS])


def is_dangerous(call: ToolCall) -> bool:
    """Whether a person has to approve the call."""
    return call.name in TOOLS and TOOLS[call.name].dangerous


def _calculate(arguments: Expression, _: Workspace) -> str:
    return f"{arguments.expression} = {calculate(arguments.expression)}"


class _Match(NamedTuple):
    words: int
    density: float
    place: str
    text: str


def _search(arguments: Query, workspace: Workspace) -> str:
    words = set(re.findall(r"\w+", arguments.query.casefold()))
    if not words:
        raise ValueError("the query has no words")
    matches = [match for match in _matches(words, workspace.documents) if match.words]
    if not matches:
        return f"no document has any of: {', '.join(sorted(words))}"
    best = sorted(matches, key=lambda match: (-match.words, -match.density, match.place))[:MATCHES]
    return "\n".join(f"{match.place}: {match.text}" for match in best)


def _matches(words: set[str], folder: Path) -> Iterator[_Match]:
    """Every paragraph and item of a list, with how many of the words it has, and what part of it they are."""
    root = folder.resolve()
    for path in sorted({path for pattern in PATTERNS for path in root.rglob(pattern)}):
        if not path.resolve().is_relative_to(root):
            continue  # a link that leads out of the folder
        text = path.read_text(encoding="utf-8", errors="replace")
        for paragraph in re.finditer(r"\S(?:.|\n(?!\s*\n|\s*[-*+] ))*", text):
            present = re.findall(r"\w+", paragraph[0].casefold())
            found = [word for word in present if word in words]
            line = text.count("\n", 0, paragraph.start()) + 1
            place = f"{path.relative_to(root).as_posix()}:{line}"
            density = len(found) / max(1, len(present))
            yield _Match(len(set(found)), density, place, " ".join(paragraph[0].split())[:160])


def _write_note(arguments: Note, workspace: Workspace) -> str:
    """The same note again is the same file again: a tool may run twice if its worker dies."""
    name = re.sub(r"[^\w-]+", "-", arguments.title.lower()).strip("-")[:60] or "note"
    path = workspace.notes / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as unfinished:
        unfinished.write(f"# {arguments.title}\n\n{arguments.text}\n")
    Path(unfinished.name).replace(path)
    return f"wrote {path.name}"


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("calculate", "Evaluates an arithmetic expression.", Expression, _calculate),
        Tool("search_documents", "Finds paragraphs in the local documents.", Query, _search),
        Tool("write_note", "Writes a note to a file.", Note, _write_note, dangerous=True),
    )
}
