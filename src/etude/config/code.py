"""A user's own code, told by its source: what a target's module holds, and what it imports.

Files are found by their paths and read with `ast`; nothing of the user's is imported. So these are
not seen: a module imported by a computed name (`importlib.import_module(name)`), one that only
`from x import *` reaches through `__all__`, and files other than modules that the code opens.
"""

import ast
import functools
import importlib.util
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ModuleSpec,
    PathFinder,
)
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from etude.base.digests import combined, digest_of_text, digests_of_files
from etude.base.errors import UserError
from etude.config.build import not_imported

# Étude's own code and what it is built on: told by their names and versions.
LIBRARIES = ("etude", "torch", "torchvision")
_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)  # in Python's order


class _Module(NamedTuple):
    """What a module's name stands for: a file, folders that hold its submodules, or both."""

    file: Path | None
    folders: tuple[Path, ...]


def source_digest(
    targets: Sequence[str], packages: Sequence[str], path: Sequence[str] | None = None
) -> str | None:
    """Give a digest of all source code that some targets stand for; see `sources`.

    Returns:
        None for targets of Étude's or torch's, or such as no file holds.

    Raises:
        UserError: A module cannot be found or read.
    """
    found = dict[str, str]()
    for target in targets:
        found |= sources(target, packages, path)
    return combined(found) if found else None


def sources(
    target: str, packages: Sequence[str], path: Sequence[str] | None = None
) -> dict[str, str]:
    """Give the digest of each file that a target's module, and all that it imports, consist of.

    Followed are imports of the same package, of `packages`, and of modules that lie beside it,
    unless these lie among all that was installed. An installed package is taken whole.

    Args:
        target: A module's dotted name, a dot, and a name in it.
        packages: The user's own packages.
        path: Folders to seek in, instead of `sys.path`.

    Returns:
        Digests by the files' names from the packages' folder on, such as `mine/net.py`. None at all
        for a target of Étude's or torch's.

    Raises:
        UserError: The target's module cannot be found, or a file not be read.
    """
    module = target.rpartition(".")[0]
    if _top(target) in LIBRARIES:
        return {}
    finder = _Finder(_top(module), packages, path)
    for name in accumulate(module.split("."), "{}.{}".format):
        if finder.find(name) is None:
            reason = f"ModuleNotFoundError: No module named '{name}'"
            raise UserError(not_imported(target, reason))
    try:
        return _collected(module, finder)
    except OSError as error:
        raise UserError(
            f"_target_={target}: its source cannot be read ({error}); make it a plain file"
        ) from error


class _Finder:
    """Find the modules of a user's own, by name.

    Args:
        top: The name of the target's package, or of its module where it is in none.
        packages: Other packages that are followed.
        path: Folders to seek these in, instead of `sys.path`.
    """

    def __init__(self, top: str, packages: Sequence[str], path: Sequence[str] | None) -> None:
        self._path = path
        self._named = {top, *map(_top, packages)}
        self._known: dict[str, _Module | None] = {}
        self._beside: list[Path] = []
        found = self.find(top)
        self._beside = [] if found is None else _neighbourhood(found)

    def find(self, name: str) -> _Module | None:
        """Find a module's file and folders; None for what is not there or not followed."""
        if name not in self._known:
            self._known[name] = self._sought(name)
        return self._known[name]

    def is_installed(self, name: str) -> bool:
        """Tell whether a module is in a package that was installed, which changes as a whole."""
        top = self.find(_top(name))
        return top is not None and any(_is_installed(folder.parent) for folder in top.folders)

    def _sought(self, name: str) -> _Module | None:
        parent, _, last = name.rpartition(".")
        if parent:
            above = self.find(parent)
            return None if above is None else _look(above.folders, last)
        if name in LIBRARIES or not name:
            return None
        if name in self._named:
            return _installed(name, self._path)
        return _look(self._beside, name)


def _collected(module: str, finder: _Finder) -> dict[str, str]:
    """Follow imports from one module on."""
    found: dict[str, str] = {}
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        at = finder.find(name)
        if name in seen or at is None:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # a package runs before what is in it
        if finder.is_installed(name):
            found |= {} if "." in name else _whole(at)
        elif at.file is not None:
            text = at.file.read_bytes()
            found[_label(name, at.file)] = digest_of_text(text)
            if at.file.suffix in SOURCE_SUFFIXES:
                waiting += _imports(text, name if at.folders else name.rpartition(".")[0])
    return found


def _whole(package: _Module) -> dict[str, str]:
    """Take all of a package: to read a large one for its imports takes seconds."""
    found: dict[str, str] = {}
    for folder in package.folders:
        files = (file for file in folder.rglob("*") if file.name.endswith(_SUFFIXES))
        names = [file.relative_to(folder.parent).as_posix() for file in files]
        found |= digests_of_files(folder.parent, [n for n in names if "/__pycache__/" not in n])
    return found


def _label(name: str, file: Path) -> str:
    """Name a module's file from the folder on that its outermost package lies in."""
    folders = name.split(".") if file.name.startswith("__init__.") else name.split(".")[:-1]
    return "/".join([*folders, file.name])


@functools.cache  # the jobs of a sweep mostly share their code
def _imports(text: bytes, package: str) -> tuple[str, ...]:
    """List the modules that a source imports, anywhere in it, and names that may be modules.

    Args:
        text: A module's source; one that is no Python imports nothing, and fails later.
        package: What its relative imports start from.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # an import will give them
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    return tuple(dict.fromkeys(name for node in ast.walk(tree) for name in _named(node, package)))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _installed(name: str, path: Sequence[str] | None) -> _Module | None:
    """Find a package or a module as Python does; one without a parent is not imported by that."""
    try:
        spec = _spec(name, path)
    except (ImportError, ValueError):  # ValueError: it was made by hand, as __main__ is
        return None
    if spec is None:
        return None
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return _Module(file, tuple(map(Path, spec.submodule_search_locations or ())))


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    return importlib.util.find_spec(name) if path is None else PathFinder.find_spec(name, path)


def _look(folders: Sequence[Path], name: str) -> _Module | None:
    """Find a module in folders as Python does: a package, a file, a folder without `__init__`."""
    for folder in folders:
        inner = folder / name
        for suffix in _SUFFIXES:
            if (file := inner / f"__init__{suffix}").is_file():
                return _Module(file, (inner,))
        for suffix in _SUFFIXES:
            if (file := folder / f"{name}{suffix}").is_file():
                return _Module(file, ())
    plain = tuple(folder / name for folder in folders if (folder / name).is_dir())
    return _Module(None, plain) if plain else None


def _neighbourhood(module: _Module) -> list[Path]:
    """List the folders that a package or module lies in, without those of installed software."""
    inner = module.folders or ((module.file,) if module.file else ())
    return [path.parent for path in inner if not _is_installed(path.parent)]


def _is_installed(folder: Path) -> bool:
    return folder.name in {"site-packages", "dist-packages"} or folder == Path(os.__file__).parent


def _top(name: str) -> str:
    return name.partition(".")[0]
