"""The launcher's end of the fork server."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from etude.base.streams import open_standard
from etude.base.threads import bound_spinning
from etude.launch.child import THREADS
from etude.launch.wire import START, Event, Request, receive_event, send_command

_CODE = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path']; "
    "from etude.launch.server import main; main(given['channel'], given['preload'])"
)


class Lost(Exception):  # noqa: N818
    """The fork server is gone, and with it all of its jobs."""


class Forks:
    """A fork server, from its start to its end.

    Args:
        preload: Modules that it imports for all jobs.
        threads: That each job computes with.
    """

    def __init__(self, preload: Sequence[str], threads: int) -> None:
        open_standard()  # the server is given streams of its own, over what has their numbers
        self.channel, theirs = socket.socketpair()
        given = {"path": sys.path, "channel": theirs.fileno(), "preload": list(preload)}
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
        bound_spinning(environment)
        with theirs:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", _CODE, json.dumps(given)],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a job that misses something says so itself
                start_new_session=True,  # the terminal's signals are for the launcher
            )
        # Also when nobody closes it: with the launcher, or at the end of the program.
        self.close = weakref.finalize(self, _end, self.channel, process)

    @property
    def closed(self) -> bool:
        """Whether it serves no longer."""
        return self.channel.fileno() < 0

    def start(
        self, job: int, call: bytes, log: Path, *, threads: int, environment: Mapping[str, str]
    ) -> IO[bytes]:
        """Start a job's process; give the file that its answer will be in.

        Args:
            job: Its number.
            call: What it does, see `Request`.
            log: File that all it prints is added to.
            threads: That it computes with.
            environment: Of the process, beside the launcher's.

        Raises:
            Lost: There is no server any more.
        """
        request = Request(
            call=call,
            environment={**os.environ, **environment},
            arguments=sys.argv,
            path=sys.path,
            folder=str(Path.cwd()),
            threads=threads,
        )
        answer = tempfile.TemporaryFile()  # noqa: SIM115 (the launcher reads it later)
        log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile() as asked, log.open("ab") as printed:
            pickle.dump(request, asked)
            asked.flush()
            self._send(job, START, (asked, answer, printed))
        return answer

    def signal(self, job: int, number: signal.Signals) -> None:
        """Signal a job's process, if it is still there.

        Raises:
            Lost: There is no server any more.
        """
        self._send(job, number)

    def event(self) -> Event:
        """Wait for the next process that has started or ended.

        Raises:
            Lost: There is no server any more.
        """
        event = receive_event(self.channel)
        if event is None:
            raise Lost
        return event

    def _send(self, job: int, number: int, files: tuple[IO[bytes], ...] = ()) -> None:
        try:
            send_command(self.channel, job, number, files)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Lost from error


def _end(channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Let a server go; it ends the jobs that still run."""
    channel.close()
    process.wait()
