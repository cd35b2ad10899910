"""Files that are whole or not there at all, whatever happens while they are written."""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

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
        temporary.unlink(missing_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask says; some libraries make theirs private
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # else a crash may leave the new name on missing bytes
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text; a name that the locale could not read is written as it was."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def remove_stale(folder: Path) -> None:
    """Remove what writers of this machine left in a folder when they were killed."""
    for file in folder.glob(f"*.{socket.gethostname()}.*{_END}"):
        process = file.suffixes[-2][1:]
        if process.isdigit() and not _is_alive(int(process)):
            file.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Remove what writers left half-written in a folder that nobody else writes to."""
    for file in folder.glob(f".*{_END}"):
        file.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
