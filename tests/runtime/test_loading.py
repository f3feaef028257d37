"""What can be named on a command line, and what is said when it cannot be used."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from karman_core.domain.errors import InvalidGraph
from karman_runtime.errors import ImportFailed, InvalidFile, LoadError, NoGraph, SeveralGraphs, UnknownFile
from karman_runtime.loading import load, split_target

Write = Callable[[str, str], Path]

GRAPH = """
from karman import Graph, node

@node
def greet(name: str) -> str:
    return f"Hello, {name}!"

graph = Graph("greeting")
graph.add(greet)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into an empty working folder; what is imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_by_its_path(write: Write) -> None:
    write("flows/digest.py", GRAPH)
    loaded = load("flows/digest.py")

    assert loaded.graph(None).name == "greeting"
    assert [node.__name__ for node in loaded.nodes] == ["greet"]


def test_a_module_by_its_name(write: Write) -> None:
    write("flows/__init__.py", "")
    write("flows/digest.py", GRAPH)

    assert load("flows.digest").graph(None).name == "greeting"


def test_a_file_imports_what_lies_beside_it(write: Write) -> None:
    write("flows/words.py", "NAME = 'beside'")
    write("flows/digest_beside.py", "from words import NAME\n" + GRAPH.replace('"greeting"', "NAME"))

    assert load("flows/digest_beside.py").graph(None).name == "beside"


def test_a_file_in_a_package_has_its_relative_imports(write: Write) -> None:
    write("packaged/__init__.py", "")
    write("packaged/words.py", "NAME = 'inside'")
    write("packaged/digest.py", "from .words import NAME\n" + GRAPH.replace('"greeting"', "NAME"))

    assert load("packaged/digest.py").graph(None).name == "inside"


def test_two_files_of_one_name_are_two_modules(write: Write) -> None:
    write("a/graph.py", GRAPH)
    write("b/graph.py", GRAPH.replace("greeting", "other"))
    write("json.py", GRAPH.replace("greeting", "shadow"))

    assert load("a/graph.py").graph(None).name == "greeting"
    assert load("b/graph.py").graph(None).name == "other"
    assert load("json.py").graph(None).name == "shadow"
    assert load("a/graph.py").graph(None).name == "greeting"


def test_a_file_is_of_one_runtime_however_it_is_named(write: Write) -> None:
    write("flows/__init__.py", "")
    write("flows/digest.py", GRAPH)
    write("flows/other.py", GRAPH)
    write("1st.py", GRAPH)

    assert load("flows/digest.py").runtime == load("flows.digest").runtime
    assert load("flows/digest.py").runtime.startswith("digest-")
    assert load("flows/other.py").runtime != load("flows/digest.py").runtime
    assert load("1st.py").runtime.startswith("_1st-")


def test_a_graph_among_several_is_named(write: Write) -> None:
    write("several.py", GRAPH + "other = Graph('second')\nother.add(greet)\nalias = other\n")
    loaded = load("several.py")

    with pytest.raises(
        SeveralGraphs, match=r"has 2 graphs; name one of them: several.py:graph .*graph, other"
    ):
        loaded.graph(None)
    assert loaded.graph("graph").name == "greeting"
    assert loaded.graph("other").name == "second"
    assert loaded.graph("second").name == "second"
    with pytest.raises(NoGraph, match="no graph 'third'; there are graph, other"):
        loaded.graph("third")


def test_a_module_without_a_graph(write: Write) -> None:
    write("empty.py", "x = 1")

    with pytest.raises(NoGraph, match=r"empty.py has no graph"):
        load("empty.py").graph(None)


def test_nodes_are_found_as_classes_and_functions_but_bases_are_not(write: Write) -> None:
    write(
        "nodes.py",
        """
from karman import Node, node

class Base(Node, abstract=True):
    pass

class Real(Base):
    async def execute(self) -> None:
        pass

@node
def function(x: int) -> int:
    return x

again = Real
""",
    )

    assert [node.__name__ for node in load("nodes.py").nodes] == ["Real", "function"]


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("a/b.py", ("a/b.py", None)),
        ("a/b.py:graph", ("a/b.py", "graph")),
        ("a.b:graph", ("a.b", "graph")),
        ("a.b", ("a.b", None)),
        ("C:/flows/a.py", ("C:/flows/a.py", None)),
        ("C:/flows/a.py:graph", ("C:/flows/a.py", "graph")),
    ],
)
def test_a_target_in_its_parts(target: str, parts: tuple[str, str | None]) -> None:
    assert split_target(target) == parts


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nope.py", "There is no file nope.py."),
        ("flows/nope.py", "There is no file flows/nope.py."),
        ("folder/", "folder is a folder; name a file in it."),
        ("notes/a.txt", "notes/a.txt is no Python file (.py) and no graph (.yaml, .yml, .json)."),
        ("no_such_module", "There is no module 'no_such_module'"),
        ("json.nope", "There is no module 'json.nope'"),
        ("not a module", "'not a module' is neither a file nor the name of a module."),
        ("nope.yaml", "There is no file nope.yaml."),
    ],
)
def test_what_does_not_exist(write: Write, target: str, message: str) -> None:
    write("folder/a.py", "")
    write("notes/a.txt", "")

    with pytest.raises(UnknownFile) as caught:
        load(target)
    assert caught.value.message.startswith(message)


def test_an_import_that_fails_names_the_users_own_line(write: Write) -> None:
    write("beside_broken.py", "def load():\n    import json\n    return json.loads('{')\n")
    write("broken.py", "import beside_broken\n\nVALUE = beside_broken.load()\n")

    with pytest.raises(ImportFailed) as caught:
        load("broken.py")
    assert caught.value.message.startswith("broken.py cannot be imported: JSONDecodeError: ")
    assert caught.value.message.endswith("\n  beside_broken.py, line 3\n    return json.loads('{')")


def test_a_missing_library_is_no_missing_file(write: Write) -> None:
    write("needs.py", "import pandas_of_nobody\n")

    with pytest.raises(
        ImportFailed, match=r"No module named 'pandas_of_nobody'\n  needs.py, line 1\n    import pandas"
    ):
        load("needs.py")


def test_a_syntax_error_has_its_line(write: Write) -> None:
    write("syntax.py", "x = 1\nif x\n    pass\n")

    with pytest.raises(ImportFailed, match=r"SyntaxError: .*\n  syntax.py, line 2\n    if x"):
        load("syntax.py")


def test_a_node_that_cannot_be_one_has_its_line(write: Write) -> None:
    write("wrong.py", "from karman import node\n\n@node\ndef f(x) -> int:\n    return x\n")

    with pytest.raises(
        ImportFailed, match=r"InvalidNode: The parameter x of f has no type.*\n  wrong.py, line \d"
    ):
        load("wrong.py")


def test_a_module_that_exits_does_not_end_the_process(write: Write) -> None:
    write("exits.py", "import sys\nsys.exit(3)\n")

    with pytest.raises(ImportFailed, match=r"SystemExit: 3\n  exits.py, line 2"):
        load("exits.py")


def test_a_failed_import_is_tried_anew(write: Write) -> None:
    write("mended.py", "raise ValueError('not yet')\n")
    with pytest.raises(ImportFailed):
        load("mended.py")
    write("mended.py", GRAPH)

    assert load("mended.py").graph(None).name == "greeting"


YAML = """
name: greeting
nodes:
  - identifier: greet
    node_name: greet
    inputs: {name: World}
"""


def test_a_graph_file_with_its_nodes(write: Write) -> None:
    write("graph.yaml", YAML)
    write("nodes.py", GRAPH)
    loaded = load("graph.yaml", ["nodes.py"])

    assert loaded.graph(None).nodes[0].inputs == {"name": "World"}
    assert [node.__name__ for node in loaded.nodes] == ["greet"]


def test_a_graph_file_in_json(write: Write) -> None:
    write("graph.json", '{"name": "g", "nodes": [{"identifier": "a", "node_name": "A"}]}')

    assert load("graph.json").graph(None).name == "g"


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("broken.yaml", "name: [\n", "line "),
        ("broken.json", '{"name": }', "line 1"),
        ("shape.yaml", "name: g\nnodes: 3\n", "nodes"),
        ("list.yaml", "- a\n- b\n", ""),
    ],
)
def test_a_graph_file_that_is_none(write: Write, name: str, text: str, place: str) -> None:
    write(name, text)

    with pytest.raises(InvalidGraph, match=f"{name} holds no graph") as caught:
        load(name)
    assert caught.value.problems[0].path.startswith(place)


def test_a_graph_file_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InvalidFile, match=r"binary.yaml cannot be read"):
        load("binary.yaml")


def test_what_cannot_be_loaded_is_one_kind_of_error() -> None:
    kinds = {UnknownFile, ImportFailed, InvalidFile, NoGraph, SeveralGraphs}

    assert all(issubclass(kind, LoadError) for kind in kinds)
    assert len({kind.code for kind in kinds}) == len(kinds)
