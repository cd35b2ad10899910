"""Files that are whole or not there at all, whatever happens while they are written."""

import errno
import os
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from etude.base.processes import exists

_END = ".tmp"


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a file beside `path` to write to; at the end it takes its place in one go.

    A reader, or a crash, sees the old content or the new. If writing fails, the old stays and
    nothing is left behind. The file may be written by name, opened, or replaced by another.

    Args:
        path: In a folder that is there.
    """
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}{_END}")
    try:
        with naming(path):
            yield from _replaced(path, temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _replaced(path: Path, temporary: Path) -> Generator[Path]:
    temporary.unlink(missing_ok=True)
    temporary.touch()
    mode = temporary.stat().st_mode  # as the umask says; some libraries make theirs private
    yield temporary
    temporary.chmod(mode)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())  # else a crash may leave the new name on missing bytes
    temporary.replace(path)


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Name the file for which a disk was full: neither the system nor a library does.

    Raises:
        OSError: The disk is full.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise OSError(errno.ENOSPC, told_full(path), str(path)) from error


def told_full(path: Path) -> str:
    """Say that a file's disk is full, and what it has left."""
    return f"the disk is full ({shutil.disk_usage(path.parent).free / 2**20:.0f} MiB free)"


def is_full(error: BaseException | None) -> bool:
    """Say whether a full disk or quota is behind an error, whatever a library has made of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        if "No space left on device" in str(error):  # safetensors has its own kind
            return True
        error = error.__context__
    return False


def overwrite_text(path: Path, text: str) -> None:
    """Replace a file by a text, in its own place where the disk has room for nothing more."""
    try:
        write_text(path, text)
    except OSError as error:
        data = text.encode(errors="surrogateescape")
        if not is_full(error) or not path.exists() or len(data) > path.stat().st_blocks * 512:
            raise
        with path.open("rb+") as file:
            file.write(data)
            file.truncate()


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text; a name that the locale could not read is written as it was."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def remove_stale(folder: Path) -> None:
    """Remove what writers of this machine left in a folder when they were killed."""
    for file in folder.glob(f"*.{socket.gethostname()}.*{_END}"):
        process = file.suffixes[-2][1:]
        if process.isdigit() and not exists(int(process)):
            file.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Remove what writers left half-written in a folder that nobody else writes to."""
    for file in folder.glob(f".*{_END}"):
        file.unlink(missing_ok=True)
