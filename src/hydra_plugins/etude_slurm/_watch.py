"""Waiting for jobs in SLURM's queue, and what became of each."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from submitit.core.utils import JobPaths, pickle_load

from etude.launch.job import Entry, last_line, reason
from etude.launch.loop import JobsDisplay
from etude.launch.squeue import Queue, is_ahead, is_at_work, is_over
from etude.launch.stopping import Stopping
from etude.runs.state import RunState

_TICK = 1.0  # seconds between two looks at the jobs' files
_LATE = 10.0  # seconds that a file may take from a node to here


class Ticket:
    """A job in the queue.

    Args:
        entry: What the launcher knows of it.
        paths: Where submitit keeps its files.
    """

    def __init__(self, entry: Entry, paths: JobPaths) -> None:
        self.entry, self.id = entry, str(paths.job_id)
        self._paths = paths
        self._ended: float | None = None  # when SLURM was first heard to say so

    def look(self, said: str) -> bool:
        """Take note of where it stands; say whether that is new.

        Args:
            said: SLURM's word for it.
        """
        before = self.entry.state
        result = self._result()
        if result is not None:
            self._finish(*result)
        elif is_at_work(said):
            self._begin()
        elif is_ahead(said):
            self._queue_again()
        elif is_over(said):
            self._give_up(said)
        if self.entry.state is RunState.RUNNING:
            self.entry.progress = self.entry.job.progress()
        return self.entry.state is not before

    def _begin(self) -> None:
        self._ended = None
        if self.entry.state is RunState.NOT_STARTED:
            self.entry.state, self.entry.since = RunState.RUNNING, time.monotonic()
            self.entry.tries += 1

    def _queue_again(self) -> None:
        """Take note that SLURM took its node for another job, or lost it."""
        self._ended = None
        self._stop_clock(RunState.NOT_STARTED)

    def _stop_clock(self, state: RunState) -> None:
        if self.entry.state is RunState.RUNNING:
            self.entry.seconds += time.monotonic() - self.entry.since
        self.entry.state = state

    def _result(self) -> tuple[str, Any] | None:
        """Give what the job left behind, if it has come to its end."""
        with suppress(OSError):  # a change of the folder makes NFS look again
            self._paths.folder.chmod(self._paths.folder.stat().st_mode)
        with suppress(FileNotFoundError, EOFError):
            return pickle_load(self._paths.result_pickle)
        return None

    def _finish(self, outcome: str, value: Any) -> None:
        self.entry.tries = max(1, self.entry.tries)
        self.entry.progress = self.entry.job.progress()
        if outcome != "success":
            self.entry.error = _last_error(str(value))
            return self._stop_clock(RunState.FAILED)
        self.entry.result, code = value
        if code != 0:
            self.entry.error = reason(code, last_line(self._paths.stderr))
        return self._stop_clock(self.entry.judged(code))

    def _give_up(self, said: str) -> None:
        """Call it lost, once its result has had the time to come."""
        self._ended = self._ended or time.monotonic()
        if time.monotonic() - self._ended < _LATE:
            return
        self.entry.progress = self.entry.job.progress()
        self.entry.error = f"{said} (SLURM's job {self.id})"
        if said == "FAILED" and (line := last_line(self._paths.stderr)):
            self.entry.error += f": {line}"
        self._stop_clock(RunState.FAILED if said == "FAILED" else RunState.CUT_OFF)


def _last_error(traceback: str) -> str:
    """Give the line that names a traceback's error; explanations below it are indented."""
    return next((s for s in reversed(traceback.splitlines()) if s and not s[0].isspace()), "")


def wait(
    tickets: Sequence[Ticket],
    entries: Sequence[Entry],
    stopping: Stopping,
    shown: JobsDisplay,
    refill: Callable[[], None] | None = None,
) -> None:
    """Wait until all jobs have come to their end, or somebody asks to stop waiting.

    Args:
        tickets: Those in the queue; refilling adds to them.
        entries: All jobs; likewise.
        stopping: Whether somebody asked.
        shown: Shows how it goes.
        refill: Has others take the place of jobs that have ended.
    """
    queue = Queue([ticket.id for ticket in tickets])
    known = len(tickets)
    while stopping.asked is None:
        queue.look()
        for ticket in tickets:
            if not ticket.entry.over and ticket.look(queue.state(ticket.id)):
                shown.changed(ticket.entry)
        if refill is not None:
            refill()
        if len(tickets) > known:
            queue, known = Queue([t.id for t in tickets if not t.entry.over]), len(tickets)
        shown.look(entries, stopping=False)
        if all(ticket.entry.over for ticket in tickets):
            return
        time.sleep(_TICK)
