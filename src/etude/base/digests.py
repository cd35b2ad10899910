"""What files hold, told by a digest of their content: equal wherever they lie, whatever their name.

A file is read once. Its digest is kept, with the size, the times and the inode that the file had,
in one cache file for each folder that was asked about, and holds for as long as these stay. The
time of change (ctime) is among them: nobody can set it back, as `cp -p` or a program may the time
of modification.
"""

import gzip
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etude.base.errors import UserError
from etude.base.places import cache_folder, cached
from etude.base.text import counted

log = logging.getLogger(__name__)

DIGITS = 32  # of the 64 that sha256sum gives
SETTLED_SECONDS = 2.0  # the coarsest clock of a file system: within it, a change may not show
PROGRESS_SECONDS = 5.0
THREADS = 8  # at most: small files wait for Python's lock more than for a disk
TOGETHER = 64  # files for one thread at a time: a task each would cost more than small files


def digest_of_text(text: bytes) -> str:
    """Give 32 hexadecimal digits for some bytes."""
    return hashlib.sha256(text).hexdigest()[:DIGITS]


def digest_of_file(path: Path) -> str:
    """Give 32 hexadecimal digits for what a file holds; a `.gz` holds what is packed in it.

    Raises:
        UserError: It cannot be read.
    """
    return digests_of_files(path.parent, [path.name])[path.name]


def digest_of_tree(root: Path, names: Iterable[str]) -> str:
    """Give 32 hexadecimal digits for files' names and contents, in whatever order they come.

    Args:
        root: A folder; where it lies and what it is called does not matter.
        names: Files, relative to it.

    Raises:
        UserError: One cannot be read.
    """
    return combined(digests_of_files(root, names))


def combined(digests: Mapping[str, str]) -> str:
    """Give one digest for many, by name, in whatever order they come."""
    lines = sorted(b"%s\0%s\n" % (os.fsencode(n), d.encode()) for n, d in digests.items())
    return digest_of_text(b"".join(lines))


def digests_of_files(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Give the digest of each file, in the order given; only what has changed is read.

    Args:
        root: A folder.
        names: Files, relative to it; given twice, they come once.

    Raises:
        UserError: One cannot be read.
    """
    place, now = _cache_file(root), time.time_ns()
    known = _recall(place)
    marks = {name: _mark(f"{root}/{name}") for name in names}
    found: dict[str, str] = {}
    for name, mark in marks.items():
        seen, _, digest = known.get(name, "").rpartition(" ")
        if seen == mark:
            found[name] = digest
    if unknown := [name for name in marks if name not in found]:
        try:
            _read(root, unknown, found)
        finally:  # what an interrupt leaves undone is all that is left to do
            new = [name for name in unknown if name in found and _is_settled(marks[name], now)]
            _keep(place, known | {name: f"{marks[name]} {found[name]}" for name in new})
    return {name: found[name] for name in marks}


def _mark(path: str) -> str:
    """Tell what a file looks like from outside."""
    try:
        status = os.stat(path)  # noqa: PTH116 (as a Path it takes several times as long)
    except OSError as error:
        raise _unreadable(path, error) from error
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino} {status.st_ctime_ns}"


def _is_settled(mark: str, now: int) -> bool:
    """Tell whether a change to a file from now (ns) on would show in its mark."""
    return int(mark.rpartition(" ")[2]) < now - SETTLED_SECONDS * 1e9


def _read(root: Path, names: Sequence[str], found: dict[str, str]) -> None:
    """Add the digests of files, read side by side."""

    def hashed(group: Sequence[str]) -> list[tuple[str, str]]:
        return [(name, _hash(root / name)) for name in group]

    shown = time.monotonic()
    groups = [names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER)]
    done = 0
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
        for group in threads.map(hashed, groups):
            found.update(group)
            done += len(group)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                files = counted(len(names), "file")
                log.info("reading %d of %s of %s once, to know them again", done, files, root)


def _hash(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(f"{path} cannot be read ({reason}); replace or remove it")


def _cache_file(root: Path) -> Path | None:
    """Name the file that a folder's digests are kept in; None where there is no place for it."""
    try:
        return cache_folder() / f"{digest_of_text(os.fsencode(root.absolute()))}.digests"
    except UserError:
        return None


def _recall(place: Path | None) -> dict[str, str]:
    """Read kept digests, each after its file's mark; none if the file is not what was written."""
    if place is None:
        return {}
    try:
        checksum, _, text = place.read_bytes().partition(b"\n")
    except OSError:
        return {}
    return json.loads(text) if checksum == digest_of_text(text).encode() else {}


def _keep(place: Path | None, entries: Mapping[str, str]) -> None:
    """Write digests for the next time; of two processes that do at once, one is the last."""
    if place is None:
        return
    text = json.dumps(entries).encode()
    try:
        with cached(place) as temporary:
            temporary.write_bytes(digest_of_text(text).encode() + b"\n" + text)
    except OSError as error:
        log.warning("cache %s cannot be written (%s); the next run reads again", place, error)
