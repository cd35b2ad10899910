"""What nobody needs any more: runs that were moved aside, checkpoints of finished ones, caches."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from etude.base.errors import UserError
from etude.base.places import cache_folder
from etude.runs.claim import is_claimed
from etude.runs.find import find_runs
from etude.runs.names import LAST, PREVIOUS, REPLACED
from etude.runs.status import finished

_ASIDE = re.compile(rf"{re.escape(REPLACED)}\d{{8}}T\d{{12}}Z$")  # as `set_aside` names it
KINDS = ("aside", "checkpoint", "cache")


class Leftover(NamedTuple):
    """Something that can go: what kind of thing, where, and how many bytes."""

    kind: str
    path: Path
    size: int


def leftovers(root: Path, kinds: Sequence[str] = KINDS) -> list[Leftover]:
    """Find what can go below a folder of runs, and in the cache.

    Nothing that a process is at work on is given, nor a checkpoint of a run that is not finished.

    Args:
        root: Of runs.
        kinds: Of `KINDS`; the caches are the user's, whichever runs made them.

    Raises:
        UserError: There is no such folder.
    """
    if not root.is_dir() and set(kinds) - {"cache"}:
        raise UserError(f"{root} is no folder; give one that has runs in or below it")
    found: list[Leftover] = []
    if "aside" in kinds:
        found += [Leftover("aside", path, _size(path)) for path in _asides(root)]
    if "checkpoint" in kinds:
        found += [Leftover("checkpoint", path, _own_size(path)) for path in _checkpoints(root)]
    if "cache" in kinds:
        found += [Leftover("cache", path, _own_size(path)) for path in _cached()]
    return found


def remove(leftover: Leftover) -> None:
    """Remove it."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():  # of a link, the link alone
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _asides(root: Path) -> Iterator[Path]:
    for name, inner, _ in os.walk(root):
        for folder in sorted(inner):
            if _ASIDE.search(folder) and not is_claimed(Path(name, folder)):
                yield Path(name, folder)
        inner[:] = sorted(folder for folder in inner if REPLACED not in folder)


def _checkpoints(root: Path) -> Iterator[Path]:
    for run in find_runs(root):
        if finished(run) and not is_claimed(run):
            yield from (path for name in (LAST, PREVIOUS) if (path := run / name).exists())


def _cached() -> Iterator[Path]:
    """Give the files that Étude keeps in its cache: pixels, digests, and lists of bad images."""
    try:
        folder = cache_folder()
    except UserError:
        return
    for pattern in ("*.safetensors", "*.digests", "*.damaged.json"):
        yield from sorted(folder.glob(pattern))


def _size(folder: Path) -> int:
    if folder.is_symlink():
        return 0
    return sum(_own_size(path) for path in folder.rglob("*") if path.is_file())


def _own_size(path: Path) -> int:
    """Tell the bytes that go with a file; two names of one file hold them together."""
    status = path.lstat()
    return status.st_size if status.st_nlink == 1 else status.st_size // status.st_nlink
