"""The process that does a queue's commands, one after the other, and ends when none is left.

Killed, it leaves the command that it had started at work, and that one's lock held: the next server
waits for it, and then gives the command again, which trains nothing that is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from etude.base import locks
from etude.base.errors import INTERRUPTED, PREEMPTED
from etude.launch.commands import (
    FAILED,
    FINISHED,
    REMOVED,
    RUNNING,
    STOPPED,
    WAITING,
    CommandQueue,
    QueuedCommand,
)

_LOOK = 0.3  # seconds between two looks at what another process holds
_PATIENCE = 10  # looks at a server that may be about to end
# Its parent ends at once, so that nobody is left to wait for it.
_CODE = """import os, sys
if os.fork():
    os._exit(0)
from etude.launch.commands_server import serve
serve(sys.argv[1])"""


def start(queue: CommandQueue) -> None:
    """Start a server that outlives this process and its terminal; a second one ends by itself."""
    with (queue.folder / "server.log").open("ab") as log:
        subprocess.run(  # noqa: S603 (our own)
            [sys.executable, "-c", _CODE, str(queue.folder)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            check=True,
        )  # fmt: skip


def is_serving(queue: CommandQueue) -> bool:
    """Say whether a server is at work."""
    return locks.is_held(queue.folder / "server.lock")


def serve(folder: str) -> None:
    """Do commands until none is left, or the queue is paused."""
    queue = CommandQueue(Path(folder))
    for _ in range(_PATIENCE):
        try:
            held = locks.take(queue.folder / "server.lock")
        except locks.Held:
            time.sleep(_LOOK)
            continue
        while (command := _next(queue)) is not None:
            _do(queue, command)
        locks.release(held)
        return


def _next(queue: CommandQueue) -> QueuedCommand | None:
    left = [command for command in queue.all() if command.left]
    return None if queue.paused or not left else left[0]


def _do(queue: CommandQueue, command: QueuedCommand) -> None:
    """Give a command, once nobody else's process is at work on it, and note what came of it."""
    while True:
        try:
            held = locks.take(queue.lock(command.number))
            break
        except locks.Held:
            time.sleep(_LOOK)
    command = queue.find(command.number)
    if command.left:
        (queue.folder / f"{command.number}.again").unlink(missing_ok=True)
        process = _begin(queue, command, held)
        queue.write(replace(command, state=RUNNING, process=process.pid))
        state = _state(queue, command.number, process.wait())
        queue.write(replace(queue.find(command.number), state=state, process=0))
    locks.release(held)


def _begin(queue: CommandQueue, command: QueuedCommand, held: int) -> subprocess.Popen[bytes]:
    with queue.log(command.number).open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (the user's own words)
            [sys.executable, "-m", "etude", *command.words, *_resized(queue, command)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=command.folder,
            env={**os.environ, **command.environment},
            start_new_session=True,
            pass_fds=[held],  # it holds the lock for as long as it lives, whatever becomes of us
        )  # fmt: skip


def _resized(queue: CommandQueue, command: QueuedCommand) -> list[str]:
    keys = [word.partition("=")[0] for word in command.words]
    if not queue.jobs_per_device or "hydra/launcher" in keys:
        return []
    return [f"hydra.launcher.jobs_per_device={queue.jobs_per_device}"]


def _state(queue: CommandQueue, number: int, code: int) -> str:
    if queue.find(number).state == REMOVED:
        return REMOVED
    if code in {PREEMPTED, INTERRUPTED}:
        return WAITING if (queue.folder / f"{number}.again").exists() else STOPPED
    return FINISHED if code == 0 else FAILED
