"""What the launcher and its fork server send each other: a few numbers, and open files.

Launcher to server: a job's number and a signal; signal 0 starts the job, and three open files go
along: its request (a pickled `Request`), its answer (what its call gave, pickled) and its log.
Server to launcher: a job's number, its process, and how that ended; `STARTED` while it has not.
"""

from __future__ import annotations

import pickle
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, NamedTuple

START = 0  # in the place of a signal
STARTED = 2**30  # in the place of an exit status, which is at most 255, or minus a signal
_COMMAND = struct.Struct("!ii")
_EVENT = struct.Struct("!iii")


@dataclass(frozen=True)
class Request:
    """All that a job's process needs.

    Args:
        call: What to do, pickled: a function of nothing that gives an answer and an exit code.
        environment: Of the process.
        arguments: `sys.argv`, as the launcher's, so that a run records the command that made it.
        path: `sys.path`, so that what was pickled by name is found.
        folder: The working folder.
        threads: That it may compute with.
    """

    call: bytes
    environment: dict[str, str]
    arguments: list[str]
    path: list[str]
    folder: str
    threads: int


class Command(NamedTuple):
    """What the launcher asks for: a signal for a job, or its start with its files."""

    job: int
    number: int
    files: tuple[int, ...]


class Event(NamedTuple):
    """What the server tells: that a job's process has started, or how it ended."""

    job: int
    process: int
    status: int


def send_command(
    channel: socket.socket, job: int, number: int, files: tuple[IO[bytes], ...] = ()
) -> None:
    """Ask for a signal, or for a start with its three files."""
    packed = _COMMAND.pack(job, number)
    socket.send_fds(channel, [packed], [file.fileno() for file in files])


def receive_command(channel: socket.socket) -> Command | None:
    """Wait for a command; None when the launcher is gone."""
    packed, files, _, _ = socket.recv_fds(channel, _COMMAND.size, 3)
    if len(packed) == _COMMAND.size:
        job, number = _COMMAND.unpack(packed)
        return Command(job, number, tuple(files))
    return None


def send_event(channel: socket.socket, event: Event) -> None:
    """Tell the launcher; one that is gone need not know."""
    with suppress(BrokenPipeError):
        channel.sendall(_EVENT.pack(*event))


def receive_event(channel: socket.socket) -> Event | None:
    """Wait for an event; None when the server is gone."""
    try:
        packed = channel.recv(_EVENT.size, socket.MSG_WAITALL)
    except ConnectionResetError:
        return None
    return Event(*_EVENT.unpack(packed)) if len(packed) == _EVENT.size else None


def read_request(file: IO[bytes]) -> Request:
    """Read what the launcher wrote for one job."""
    file.seek(0)
    return pickle.load(file)  # noqa: S301 (written by our own parent, in a file without a name)
