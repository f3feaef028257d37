"""Imports users' modules, by path or by dotted name, and says where one fails."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
import zlib
from pathlib import Path
from types import ModuleType

from karman_runtime.errors import ImportFailed, UnknownFile


def import_target(target: str) -> ModuleType:
    """The module at a path (`flows/digest.py`) or of a dotted name (`flows.digest`).

    A file is imported as `python file.py` would find it: what lies beside it can be imported too. A file in a
    package is imported as a part of the package, so that its relative imports work.

    Raises:
        UnknownFile: no such file or module.
        ImportFailed: importing it raised; the message has the user's own line.
    """
    if looks_like_path(target):
        return _import_file(Path(target))
    return _import_name(target)


def looks_like_path(target: str) -> bool:
    """Whether a target means a file; else it is a module's dotted name."""
    return target.endswith((".py", ".yaml", ".yml", ".json")) or "/" in target or "\\" in target


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        if path.is_dir():
            raise UnknownFile(f"{_short(path)} is a folder; name a file in it.")
        raise UnknownFile(f"There is no file {_short(path)}.")
    if path.suffix != ".py":
        raise UnknownFile(f"{_short(path)} is no Python file (.py) and no graph (.yaml, .yml, .json).")
    name, folder = _name_and_folder(path)
    _search_in(folder)
    if _is_found_at(name, path):
        return _import(name, path)
    # Another module (`json.py`, a second `graph.py`) has the name.
    return _import_as(f"{name}_{zlib.crc32(str(path).encode()):08x}", path)


def search_folder(target: str) -> Path:
    """The folder that a target's module is looked for in; what it imports from there is the user's code too."""
    return _name_and_folder(Path(target).resolve())[1] if looks_like_path(target) else Path.cwd()


def is_users(filename: str) -> bool:
    """Whether a file is none of a library, of Karman, or of the import system."""
    file = Path(filename)
    return not (
        filename.startswith("<")
        or {"site-packages", "dist-packages"}.intersection(file.parts)
        or any(file.is_relative_to(folder) for folder in _not_users())
    )


def _name_and_folder(path: Path) -> tuple[str, Path]:
    """The dotted name of a file, and the folder that has to be on the search path for it."""
    names = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names), folder


def _is_found_at(name: str, path: Path) -> bool:
    """Whether importing the name leads to the file, and not to another module of the same name."""
    try:
        spec = importlib.util.find_spec(name)
    except Exception:  # noqa: BLE001  a package's own __init__ failed; importing it again says why
        return True
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _import_as(name: str, path: Path) -> ModuleType:
    """Import a file under a name that is not its own."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownFile(f"{_short(path)} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and typing look annotations up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(_short(path), error, path) from error
    return module


def _import_name(name: str) -> ModuleType:
    _search_in(Path.cwd())
    if not all(part.isidentifier() for part in name.split(".")):
        raise UnknownFile(f"'{name}' is neither a file nor the name of a module.")
    return _import(name, None)


def _import(name: str, path: Path | None) -> ModuleType:
    what = name if path is None else _short(path)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if path is None and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise UnknownFile(
                f"There is no module '{error.name}'; name a file (flows/digest.py) or a module that can be "
                "imported from this folder."
            ) from error
        raise _failed(what, error, path) from error
    except (Exception, SystemExit) as error:
        raise _failed(what, error, path) from error


def _search_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


# --- what went wrong --------------------------------------------------------------------------------------------------


def _failed(what: str, error: BaseException, path: Path | None) -> ImportFailed:
    place = _place(error, path)
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ImportFailed(f"{what} cannot be imported: {reason}{place}")


def _place(error: BaseException, path: Path | None) -> str:
    """The last line of the user's own code that led to the error."""
    if isinstance(error, SyntaxError) and error.filename:
        return _line(error.filename, error.lineno, error.text)
    own = None if path is None else str(path)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == own or is_users(frame.filename)
    ]
    return _line(frames[-1].filename, frames[-1].lineno, frames[-1].line) if frames else ""


def _not_users() -> list[str]:
    """The standard library, and Karman where it is not installed as a library."""
    names = ("karman", "karman_core", "karman_runtime", "karman_functions", "karman_cli")
    packages = (sys.modules.get(name) for name in names)
    own = [str(Path(package.__file__).parent) for package in packages if package and package.__file__]
    return [sysconfig.get_paths()["stdlib"], *own]


def _line(filename: str, number: int | None, text: str | None) -> str:
    code = f"\n    {text.strip()}" if text and text.strip() else ""
    return f"\n  {_short(Path(filename))}, line {number}{code}"


def _short(path: Path) -> str:
    """The path as the user would write it: relative where it lies below the working folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
