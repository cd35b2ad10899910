"""Who works in a run's folder: one process at a time, which anybody may ask about."""

import datetime
import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from etude.base import atomic
from etude.runs.names import LOCK, OUTPUT_LOG, REPLACED
from etude.runs.records import read_rows, read_summary

# A lock of the open file, not of the process: a child that outlives its parent still holds it.
# Unlike flock's, it can be asked about without being taken, from inside any container and over NFS.
_FLOCK = struct.Struct("hhqqi0q")  # fcntl(2): type, whence, start, length, process
_WHOLE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class Busy(Exception):  # noqa: N818 (a state of affairs, not a mistake)
    """Another process is at work in the folder."""


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Make the folder and hold it for this process alone.

    Raises:
        Busy: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(folder / LOCK)
    try:
        atomic.remove_all(folder)  # what a crash left; nobody else is writing here
        yield
    finally:
        with suppress(FileNotFoundError):
            (folder / LOCK).unlink()  # while it is held, so that nobody loses a lock of theirs
        os.close(descriptor)


def is_claimed(folder: Path) -> bool:
    """Say whether a process holds the folder; asking keeps nobody from taking it.

    Where the system cannot tell, the lock's file stands for its holder.
    """
    lock = folder / LOCK
    if sys.platform != "linux":
        return lock.exists()
    try:
        with lock.open("rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _WHOLE)
    except FileNotFoundError:
        return False
    except OSError:
        return lock.exists()
    return _FLOCK.unpack(answer)[0] != fcntl.F_UNLCK


def wait_while_claimed(folder: Path) -> None:
    """Wait until no process is at work in the folder."""
    while True:
        with suppress(Busy), claimed(folder):
            return
        time.sleep(0.5)


def set_aside(folder: Path) -> Path | None:
    """Rename a run's folder out of the way, to be trained afresh; None if there is nothing in it.

    Raises:
        Busy: Another process is at work in it.
    """
    if read_summary(folder) is None and not read_rows(folder):
        return None
    with claimed(folder):
        now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = folder.with_name(f"{folder.name}{REPLACED}{now}")
        folder.rename(aside)
        (aside / LOCK).unlink()
        if (aside / OUTPUT_LOG).exists():  # this process may be printing to it
            folder.mkdir()
            (aside / OUTPUT_LOG).rename(folder / OUTPUT_LOG)
    return aside


def remove_if_empty(folder: Path) -> None:
    """Take back a folder, and the one above it, that nothing was written to."""
    for path in (folder, folder.parent):
        try:
            path.rmdir()
        except OSError:
            return


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor)
            # The file may have been removed by its holder between our opening and locking it.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                with suppress(OSError):  # a full disk: the lock is held all the same
                    os.ftruncate(descriptor, 0)
                    os.write(
                        descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode()
                    )
                return descriptor
            os.close(descriptor)
        except BlockingIOError:
            who = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            told = f" ({who})" if who else ""
            raise Busy(f"another process is at work in {path.parent}{told}") from None


def _take(descriptor: int) -> None:
    """Lock an open file, or raise `BlockingIOError`."""
    if sys.platform == "linux":
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
