"""The user's code while it changes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karman_runtime.errors import ImportFailed
from karman_runtime.modules import import_target
from karman_runtime.sources import Sources, without_bytecode


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    with without_bytecode():
        yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_files_that_are_imported_and_those_beside_them_are_looked_at() -> None:
    Path("inner").mkdir()
    for name in ("sources_main.py", "beside.py", "inner/helper.py", "text.txt"):
        Path(name).write_text("import inner.helper" if name == "sources_main.py" else "")
    sources = Sources(["sources_main.py", "graph.yaml"])
    Path("graph.yaml").write_text("")
    import_target("sources_main.py")

    names = {str(file.relative_to(Path.cwd())) for file in sources.stamps()}
    assert names == {"sources_main.py", "beside.py", "inner/helper.py", "graph.yaml"}


def test_a_change_and_a_deletion_are_seen() -> None:
    Path("sources_a.py").write_text("A = 1")
    Path("sources_b.py").write_text("")
    sources = Sources(["sources_a.py"])
    import_target("sources_a.py")
    first = sources.stamps()
    Path("sources_a.py").write_text("A = 10")
    second = sources.stamps()
    Path("sources_b.py").unlink()

    assert first != second
    assert len(sources.stamps()) == 1


def test_afresh_everything_of_the_user_is_read_again_and_libraries_stay() -> None:
    Path("sources_inner.py").write_text("VALUE = 1")
    Path("sources_outer.py").write_text("import json, sources_inner\nVALUE = sources_inner.VALUE")
    sources = Sources(["sources_outer.py"])
    json = sys.modules["json"]
    before = import_target("sources_outer.py")
    Path("sources_inner.py").write_text("VALUE = 2")
    with sources.afresh():
        after = import_target("sources_outer.py")

    assert (before.VALUE, after.VALUE) == (1, 2)
    assert sys.modules["json"] is json


def test_when_it_fails_the_modules_before_are_back() -> None:
    Path("sources_inner.py").write_text("VALUE = 1")
    Path("sources_outer.py").write_text("import sources_inner")
    sources = Sources(["sources_outer.py"])
    before = import_target("sources_outer.py")
    inner = sys.modules["sources_inner"]
    Path("sources_outer.py").write_text("import sources_inner\n1 / 0")
    with pytest.raises(ImportFailed, match="ZeroDivisionError"), sources.afresh():
        import_target("sources_outer.py")

    assert sys.modules["sources_outer"] is before
    assert sys.modules["sources_inner"] is inner


def test_a_namespace_package_is_read_again() -> None:
    Path("sources_space").mkdir()
    Path("sources_space/part.py").write_text("VALUE = 1")
    Path("sources_user.py").write_text("from sources_space import part\nVALUE = part.VALUE")
    sources = Sources(["sources_user.py"])
    before = import_target("sources_user.py")
    Path("sources_space/part.py").write_text("VALUE = 2")
    with sources.afresh():
        after = import_target("sources_user.py")

    assert (before.VALUE, after.VALUE) == (1, 2)
