"""A job as the launcher sees it: what it is, where it stands, and what became of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from etude.base.errors import INTERRUPTED, PREEMPTED
from etude.launch.machine import Device
from etude.launch.task import About, Progress
from etude.runs.names import OUTPUT_LOG
from etude.runs.state import RunState

_TAIL = 4096  # bytes of it that are looked at for its last line


class JobFailed(Exception):  # noqa: N818
    """A job's process died, or was never started."""


class JobState(Enum):
    """Where a job stands; the value is what people read, as they read it of a run."""

    WAITING = "waiting"
    RUNNING = RunState.RUNNING.value
    FINISHED = RunState.FINISHED.value
    BEFORE = "finished before"
    FAILED = RunState.FAILED.value
    PREEMPTED = RunState.PREEMPTED.value
    CUT_OFF = RunState.CUT_OFF.value


@dataclass(frozen=True)
class Settings:
    """How jobs are treated.

    Args:
        threads: That each computes with.
        fail_fast: Whether the first failure stops all others.
        retries: How often a job that failed is tried again.
        timeout_minutes: That one try may take; None for any time.
        grace_seconds: That a job which was asked to stop has before it is killed.
    """

    threads: int
    fail_fast: bool = False
    retries: int = 0
    timeout_minutes: float | None = None
    grace_seconds: float = 60.0


@dataclass(frozen=True)
class Job:
    """One job to be run.

    Args:
        number: Unlike all others'.
        label: What people call it.
        folder: Where it writes; its log is in there.
        about: What its task tells of it.
        call: Gives its pickled call, see `Request`.
        memory: Gives the bytes that it needs on a GPU.
        progress: Tells how far it is.
    """

    number: int
    label: str
    folder: Path
    about: About
    call: Callable[[], bytes]
    memory: Callable[[], int | None] = lambda: None
    progress: Callable[[], Progress] = Progress

    @property
    def log(self) -> Path:
        """The file that all it prints is added to."""
        return self.folder / OUTPUT_LOG


@dataclass
class Entry:
    """A job's way through the launcher.

    Args:
        job: Which.
        state: Where it stands.
        tries: How often it was started.
        alone: Whether it must have its device for itself.
        device: Where it runs.
        since: When it was started, by the monotonic clock.
        seconds: That its tries took.
        overdue: Whether it was asked to stop for having run too long.
        kill_at: When it is killed for not having stopped.
        error: Why it failed, in a line.
        answer: The file that its process writes its answer to.
        result: The answer.
        progress: How far it is.
        process: Its number in the system.
    """

    job: Job
    state: JobState = JobState.WAITING
    tries: int = 0
    alone: bool = False
    device: Device | None = None
    since: float = 0.0
    seconds: float = 0.0
    overdue: bool = False
    kill_at: float | None = None
    error: str = ""
    answer: IO[bytes] | None = None
    result: bytes = b""
    progress: Progress = field(default_factory=Progress)
    process: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in {JobState.WAITING, JobState.RUNNING}

    @property
    def done(self) -> bool:
        """Whether it is finished, now or before."""
        return self.state in {JobState.FINISHED, JobState.BEFORE}

    def begin(self, device: Device, answer: IO[bytes]) -> None:
        """Take note that it has been started."""
        self.state, self.device, self.answer = JobState.RUNNING, device, answer
        self.since, self.overdue, self.kill_at = time.monotonic(), False, None
        self.tries += 1

    def end(self, status: int, *, stopping: bool, error: str = "") -> None:
        """Take note of how its process ended.

        Args:
            status: The exit code, or minus the signal that killed it.
            stopping: Whether it had been asked to stop.
            error: Why it failed, where that is known better than from status and log.
        """
        self.seconds += time.monotonic() - self.since
        self.progress = self.job.progress()
        if self.answer is not None:
            with self.answer as file:
                file.seek(0)
                self.result = file.read()
        if status == 0:
            self.state = JobState.FINISHED
        elif status in {INTERRUPTED, PREEMPTED}:
            self.state, self.error = JobState.PREEMPTED, "asked to stop"
        elif stopping and status < 0:
            self.state, self.error = JobState.CUT_OFF, "asked to stop, and killed"
        else:
            self.state = JobState.FAILED
            self.error = error or reason(status, last_line(self.job.log))
        if self.overdue and status != 0:
            self.state, self.error = JobState.FAILED, "took longer than timeout_minutes"
        _remove_if_empty(self.job.log)


def labels(words: Sequence[Sequence[str]]) -> list[str]:
    """Call each job by those of its words that not all jobs share; an empty text if it has none."""
    shared = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set[str]()
    return [" ".join(word for word in own if word not in shared) for own in words]


def reason(status: int, last_line: str) -> str:
    """Say in a line why a process failed.

    Args:
        status: Its exit code, or minus the signal that killed it.
        last_line: The last thing that it printed.
    """
    if status < 0:
        killed = f"killed by {_signal_name(-status)}"
        return f"{killed}; out of memory?" if -status == signal.SIGKILL else killed
    if status == 1 and last_line:  # an error that was told
        return last_line
    return f"exited with code {status}" + (f"; {last_line}" if last_line else "")


def ran_out_of_cuda_memory(error: str) -> bool:
    """Say whether a job's error is that its GPU was too full."""
    return "CUDA out of memory" in error or "CUDA error: out of memory" in error


def last_line(path: Path) -> str:
    """Give the last line of a file that says something; an empty text if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix("etude: ") if said else ""


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _remove_if_empty(path: Path) -> None:
    """Take back a log that nothing was printed to."""
    if path.exists() and path.stat().st_size == 0:
        path.unlink()
