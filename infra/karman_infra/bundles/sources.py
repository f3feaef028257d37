"""Which files a bundle takes from the machine: Karman's own packages, and a folder or module of a user."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from karman_core.domain.errors import InvalidRequest

REQUIREMENTS = "requirements.txt"

LEFT_OUT = (
    "__pycache__",
    "*.pyc",
    ".*",  # version control, virtual environments, caches, and files with secrets (.env)
    "cdk.out",
    "node_modules",
    "venv",
    "*.egg-info",
)
"""Names of files and folders that are in no bundle."""

Files = Mapping[PurePosixPath, Path]
"""Files by their place in the bundle."""


@dataclass(frozen=True, slots=True)
class NodeSource:
    """Where a user's nodes are.

    Attributes:
        root: the folder that is on the search path; `package` is the part of it that is taken, None for all of it.
        modules: the modules with the nodes, as dotted names from there.
        exclude: patterns of names that are left out, beside `LEFT_OUT`.
    """

    root: Path
    package: str | None
    modules: tuple[str, ...]
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, source: str | Path, modules: Sequence[str] | None = None, exclude: Sequence[str] = ()
    ) -> NodeSource:
        """A file (`flows/digest.py`), or a folder together with the names of its modules.

        A file in a package is taken with the whole package, so that its relative imports work; another one with
        everything in its folder.

        Raises:
            InvalidRequest: there is no such file, or no such module.
        """
        path = Path(source).resolve()
        if path.is_dir():
            return cls._of_folder(path, modules, exclude)
        if not path.is_file() or path.suffix != ".py":
            raise InvalidRequest(
                f"There is no folder and no Python file {source}: name one that has the nodes."
            )
        names = [] if path.stem == "__init__" else [path.stem]
        folder = path.parent
        while (folder / "__init__.py").is_file():
            names.insert(0, folder.name)
            folder = folder.parent
        package = names[0] if folder != path.parent else None
        return cls(folder, package, tuple(modules or [".".join(names)]), tuple(exclude))

    @classmethod
    def _of_folder(cls, path: Path, modules: Sequence[str] | None, exclude: Sequence[str]) -> NodeSource:
        if not modules:
            raise InvalidRequest(
                f"{path.name} is a folder: name the modules in it that have nodes, or one file."
            )
        is_package = (path / "__init__.py").is_file()
        root, package = (path.parent, path.name) if is_package else (path, None)
        named = tuple(f"{package}.{name}" if is_package else name for name in modules)
        for name in named:
            place = root.joinpath(*name.split("."))
            if not (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()):
                raise InvalidRequest(f"There is no module {name} in {root}.")
        return cls(root, package, named, tuple(exclude))

    @property
    def folder(self) -> Path:
        """Everything below it is taken; a `requirements.txt` in it says what has to be installed."""
        return self.root if self.package is None else self.root / self.package

    def files(self) -> Files:
        """What is taken. Raises InvalidRequest for a link that leads out of the folder."""
        start = PurePosixPath() if self.package is None else PurePosixPath(self.package)
        found = {}
        for path in _walk(self.folder, (*LEFT_OUT, *self.exclude)):
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise InvalidRequest(
                    f"{path} is a link that leads out of {self.folder}: put the file itself there."
                )
            found[start / path.relative_to(self.folder).as_posix()] = path
        return found

    def requirements(self) -> str:
        """What the user's folder asks for, without Karman itself, which every bundle has."""
        path = self.folder / REQUIREMENTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return "".join(f"{line}\n" for line in lines if not _is_karman(line))


def own_files(packages: Sequence[str]) -> Files:
    """The files of Karman's packages, wherever they are installed, and what says which version they are."""
    metadata = _metadata()
    found = {PurePosixPath(metadata.parent.name) / metadata.name: metadata}
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise InvalidRequest(f"The package {name} is not installed here: install karman[deploy].")
        folder = Path(spec.submodule_search_locations[0])
        for path in _walk(folder, LEFT_OUT):
            found[PurePosixPath(name) / path.relative_to(folder).as_posix()] = path
    return found


def _metadata() -> Path:
    distribution = importlib.metadata.distribution("karman")
    found = [each for each in distribution.files or () if each.name == "METADATA"]
    if not found:
        raise InvalidRequest("Karman is not installed as a package here: install karman[deploy].")
    return Path(str(distribution.locate_file(found[0])))


def _walk(folder: Path, left_out: Sequence[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in left_out):
            continue
        if path.is_dir():
            yield from _walk(path, left_out)
        else:
            yield path


def _is_karman(line: str) -> bool:
    rest = line.strip().lower().removeprefix("karman")
    return line.strip().lower().startswith("karman") and (
        not rest or not (rest[0].isalnum() or rest[0] in "-_.")
    )
