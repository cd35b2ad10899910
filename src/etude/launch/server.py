"""The fork server: it has imported what every job needs, and forks itself for each of them.

The standard library's fork server was not taken, for four reasons: it imports the application's
`__main__` anew in every job, it shares the terminal's process group, so that a signal to the group
ends it and the jobs' exit codes with it, its environment is whatever it was when some library first
asked for one, and it leaves the jobs of a launcher that was killed alone.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from etude.launch import child
from etude.launch.wire import START, STARTED, Command, Event, receive_command, send_event


def main(channel: int, preload: Sequence[str]) -> NoReturn:
    """Serve until the launcher is gone; in a job's process, do the job.

    Args:
        channel: Descriptor of the socket to the launcher.
        preload: Modules to import first; one that is missing is left out.
    """
    for number in child.MEANT_FOR_JOBS:  # the launcher passes them on
        signal.signal(number, signal.SIG_IGN)
    for name in preload:
        with suppress(Exception):  # a job that needs it will say what is wrong with it
            importlib.import_module(name)
    gc.freeze()  # so that collecting in a job does not copy what all of them share
    command = Server(socket.socket(fileno=channel)).serve()
    if command is not None:
        child.live(command.files)
    os._exit(0)


class Server:
    """What runs, and the ends of the pipes that it is told through.

    Args:
        channel: To the launcher.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._jobs: dict[int, int] = {}  # by process
        self._woken, self._wake = os.pipe()  # written to when a process has ended
        self._lifeline = os.pipe()  # never written to: it ends when this process does

    def serve(self) -> Command | None:
        """Start, signal and await jobs; give the command in the process that is to do it."""
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _hear)
        while True:
            ready, _, _ = select.select([self._channel, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._await()
            if self._channel in ready:
                command = receive_command(self._channel)
                if command is None:
                    return self._abandon()
                if self._obey(command):
                    return command

    def _obey(self, command: Command) -> bool:
        """Do as asked; say whether this is the new process that does the job."""
        if command.number != START:
            self._signal(command.job, command.number)
            return False
        parent = os.getpid()
        # A signal that comes before the new process can listen waits until it does.
        signal.pthread_sigmask(signal.SIG_BLOCK, child.MEANT_FOR_JOBS)
        process = os.fork()
        if process == 0:
            self._leave(parent)
            return True
        os.setpgid(process, process)  # here as well: it may be killed before it has done so
        signal.pthread_sigmask(signal.SIG_UNBLOCK, child.MEANT_FOR_JOBS)
        self._jobs[process] = command.job
        for file in command.files:
            os.close(file)
        send_event(self._channel, Event(command.job, process, STARTED))
        return False

    def _leave(self, parent: int) -> None:
        """Cut a job's process loose from all that is the server's, but for its life."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._channel.close()
        alive, ours = self._lifeline
        for descriptor in (self._woken, self._wake, ours):
            os.close(descriptor)
        child.live_with_parent(parent, alive)

    def _await(self) -> None:
        """Tell of every process that has ended."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                process, status = ended
                job = self._jobs.pop(process, None)
                if job is not None:  # else a module that was imported had started it
                    with suppress(ProcessLookupError):
                        os.killpg(process, signal.SIGKILL)  # what it has left behind
                    code = os.waitstatus_to_exitcode(status)
                    send_event(self._channel, Event(job, process, code))

    def _signal(self, job: int, number: int) -> None:
        """Signal a job's process; killing takes all that it has started along."""
        for process, its in self._jobs.items():
            if its == job:
                with suppress(ProcessLookupError):
                    (os.killpg if number == signal.SIGKILL else os.kill)(process, number)

    def _abandon(self) -> None:
        """Let the jobs of a launcher that is gone save, and end them."""
        end = time.monotonic() + child.GRACE
        for number in (signal.SIGTERM, signal.SIGKILL):
            for job in list(self._jobs.values()):
                self._signal(job, number)
            while self._jobs and (number == signal.SIGKILL or time.monotonic() < end):
                time.sleep(0.02)
                self._await()


def _hear(number: int, frame: FrameType | None) -> None:
    """Do nothing: a signal that is handled wakes the server, one that is not is dropped."""
