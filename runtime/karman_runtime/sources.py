"""The user's code while it changes: which files it is made of, and how they are loaded again.

Loading again means: every module of the user's leaves `sys.modules`, and the targets are imported as at the start. What
belongs to a library stays, so this takes as long as the user's own code. The modules before live on in what refers to
them (nodes that still run); when loading fails, they are put back. What a node imports while it runs is the new code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from karman_runtime.graph_files import is_graph_file
from karman_runtime.modules import is_users, search_folder

Stamps: TypeAlias = Mapping[Path, tuple[int, int]]
"""Time of change and size of each file."""


class Sources:
    """The files that some targets are made of: graph files, and the user's modules that were imported for them.

    All Python files beside an imported one count, so that a module which could not be imported yet is looked at too.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        """Make it of what the user named: files and dotted names."""
        targets = list(targets)
        self._files = {Path(target).resolve() for target in targets if is_graph_file(target)}
        self._roots = {search_folder(target) for target in targets}
        self._folders: set[Path] = set()
        self._known: dict[str, bool] = {}

    def stamps(self) -> Stamps:
        """What the files are like now."""
        for module in self._modules().values():
            self._folders.update(_folders(module))
        beside = (file for folder in self._folders for file in folder.glob("*.py"))
        return {file: stamp for file in {*self._files, *beside} if (stamp := _stamp(file)) is not None}

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Within the block, what is imported is read from its file; if the block fails, nothing has changed."""
        before = self._modules()
        for name in before:
            del sys.modules[name]
        importlib.invalidate_caches()
        try:
            yield
        except BaseException:
            self.stamps()  # so that the files which failed are looked at from now on
            for name in self._modules():
                del sys.modules[name]
            sys.modules.update(before)
            raise

    def _modules(self) -> dict[str, ModuleType]:
        return {name: module for name, module in list(sys.modules.items()) if self._is_own(name, module)}

    def _is_own(self, name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if name == "__main__" or (file is not None and not file.endswith(".py")):
            return False  # what is compiled cannot be loaded twice
        places = [file] if file is not None else list(getattr(module, "__path__", ()))
        return bool(places) and all(map(self._is_place, places))

    def _is_place(self, place: str) -> bool:
        """Whether what is there is the user's and can have been imported for the targets."""
        if place not in self._known:
            below = any(Path(place).is_relative_to(root) for root in self._roots)
            self._known[place] = below and is_users(place)
        return self._known[place]


@contextmanager
def without_bytecode() -> Iterator[None]:
    """Within the block, importing writes no `.pyc`.

    Python takes one as up to date by the second of its source's change and by its size, so that of two changes within
    a second the latter might not be seen.
    """
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _folders(module: ModuleType) -> list[Path]:
    """Where a module's file is, and where a package's modules are."""
    file = getattr(module, "__file__", None)
    packages = [Path(entry) for entry in getattr(module, "__path__", ())]
    return [*([Path(file).parent] if file is not None else []), *packages]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None  # deleted, which is a change as well
    return found.st_mtime_ns, found.st_size
