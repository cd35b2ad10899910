"""The process that does a queue's commands, one after the other, and ends when none is left.

Killed, it leaves the command that it had started at work, and that one's lock held: the next server
waits for it, and then gives the command again, which trains nothing that is done.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
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
    kept,
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
    process = None
    while True:
        with suppress(locks.Held), queue.alone(patience=math.inf):  # `remove` comes before or after
            held = locks.take(queue.lock(command.number))
            process = _begin(queue, queue.find(command.number), held)
            break
        time.sleep(_LOOK)
    if process is not None:
        code = process.wait()
        with queue.alone(patience=math.inf):
            command = queue.find(command.number)
            queue.write(replace(command, state=_state(queue, command, code), process=0))
    locks.release(held)


def _begin(
    queue: CommandQueue, command: QueuedCommand, held: int
) -> subprocess.Popen[bytes] | None:
    """Start a command's process; None where it is no longer to be done, or cannot be started."""
    if not command.left:
        return None
    queue.mark(command, "again").unlink(missing_ok=True)
    # What is set in the shell that this server came from is nothing to another's command.
    own = kept(os.environ)
    environment = {k: v for k, v in os.environ.items() if k not in own}
    with queue.log(command.number).open("ab") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 (the user's own words)
                [sys.executable, "-m", "etude", *command.words, *_resized(queue, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=command.folder,
                env={**environment, **command.environment},
                start_new_session=True,
                pass_fds=[held],  # it holds the lock as long as it lives, whatever becomes of us
            )  # fmt: skip
        except OSError as error:  # its folder is gone, for one
            log.write(f"etude: it cannot be started in {command.folder} ({error})\n".encode())
            queue.write(replace(command, state=FAILED, process=0))
            return None
    queue.write(replace(command, state=RUNNING, process=process.pid))
    return process


def _resized(queue: CommandQueue, command: QueuedCommand) -> list[str]:
    keys = [word.partition("=")[0] for word in command.words]
    if not queue.jobs_per_device or "hydra/launcher" in keys:
        return []
    return [f"hydra.launcher.jobs_per_device={queue.jobs_per_device}"]


def _state(queue: CommandQueue, command: QueuedCommand, code: int) -> str:
    """Tell where a command stands whose process has ended."""
    if command.state == REMOVED:
        return REMOVED
    # Asked before it had loaded what saves, it ends by the signal itself.
    asked = code == -signal.SIGTERM and queue.was_asked(command)
    if asked or code in {PREEMPTED, INTERRUPTED}:
        again = queue.mark(command, "again").exists() or command.state == WAITING
        return WAITING if again else STOPPED
    return FINISHED if code == 0 else FAILED
