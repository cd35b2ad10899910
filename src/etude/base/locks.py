"""Locks of files that end with their holder, and can be asked about without being taken."""

import errno
import fcntl
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

# fcntl(2)'s `struct flock`. Linux: type, whence, start, length, process; else those two at its end.
_LINUX = sys.platform == "linux"
_FLOCK = struct.Struct("hhqqi0q" if _LINUX else "qqihh")
_WANTED = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0) if _LINUX else (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
_WHOLE = _FLOCK.pack(*_WANTED)
_TYPE = _WANTED.index(fcntl.F_WRLCK)
# A lock of the open file, not of the process: a child that outlives its parent still holds it.
# Unlike flock's, it can be asked about without being taken, from inside any container and over NFS.
_SET_OF_OPEN_FILE: int = getattr(fcntl, "F_OFD_SETLK", -1)
# The files whose locks are the process's, where the system has no others. It would lose one by
# closing the file, opened once more.
_ours: set[tuple[int, int]] = set()


class Held(Exception):  # noqa: N818 (a state of affairs, not a mistake)
    """Somebody holds the lock; the text says who, where that is known."""


def take(path: Path) -> int:
    """Lock a file, which is made if need be, and write into it who holds it.

    Returns:
        What `release` takes.

    Raises:
        Held: Somebody else does, or this process already.
    """
    while True:
        if _is_ours(path):
            raise Held(_self())
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
        except BlockingIOError:
            who = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            raise Held(who) from None
        # The file may have been removed by its holder between our opening and locking it.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            with suppress(OSError):  # a full disk: the lock is held all the same
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _self().encode())
            return descriptor
        release(descriptor)


def release(descriptor: int) -> None:
    """Let go of a lock, whose file stays."""
    _ours.discard(_key(os.fstat(descriptor)))
    os.close(descriptor)


def is_held(path: Path) -> bool:
    """Say whether anybody holds a file's lock; asking keeps nobody from taking it.

    Where the system cannot tell, the file stands for its holder.
    """
    if _is_ours(path):
        return True
    try:
        with path.open("rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_GETLK, _WHOLE)  # which knows of both kinds
    except FileNotFoundError:
        return False
    except OSError:
        return path.exists()
    return _FLOCK.unpack(answer)[_TYPE] != fcntl.F_UNLCK


def _lock(descriptor: int) -> None:
    """Lock an open file, or raise `BlockingIOError`."""
    try:
        fcntl.fcntl(descriptor, _SET_OF_OPEN_FILE, _WHOLE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fcntl.fcntl(descriptor, fcntl.F_SETLK, _WHOLE)
        _ours.add(_key(os.fstat(descriptor)))


def _is_ours(path: Path) -> bool:
    try:
        return _key(path.stat()) in _ours
    except FileNotFoundError:
        return False


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _self() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
