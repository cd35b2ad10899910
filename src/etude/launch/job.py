"""A job as the launcher sees it: what it is, where it stands, and what became of it."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from etude.base.errors import INTERRUPTED, PREEMPTED
from etude.launch.machine import Device
from etude.launch.task import About, Progress
from etude.runs.names import OUTPUT_LOG
from etude.runs.state import RunState

_TAIL = 4096  # bytes of it that are looked at for its last line


class JobFailed(Exception):  # noqa: N818
    """A job's process died, or was never started.

    Attributes:
        unfinished: Whether it was ended from outside, so that the same command goes on with it.
    """

    unfinished = False


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
        killed: Whether a signal ended it, other than for having run too long.
    """

    job: Job
    state: RunState = RunState.NOT_STARTED
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
    killed: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state.over

    @property
    def done(self) -> bool:
        """Whether it need not be done again."""
        return not self.state.left

    @property
    def before(self) -> bool:
        """Whether it had been done before this command began."""
        return self.done and not self.tries

    @property
    def lost(self) -> bool:
        """Whether it failed in a way that another try may mend."""
        return self.state in {RunState.FAILED, RunState.CUT_OFF}

    @property
    def unfinished(self) -> bool:
        """Whether it was ended from outside, and may come to its end another time."""
        cut = {RunState.CUT_OFF, RunState.PREEMPTED}
        return self.state in cut or (self.state is RunState.FAILED and self.killed)

    @property
    def word(self) -> str:
        """Where it stands, as people read it."""
        return f"{self.state} before" if self.before else self.state.value

    def begin(self, device: Device, answer: IO[bytes]) -> None:
        """Take note that it has been started."""
        self.state, self.device, self.answer = RunState.RUNNING, device, answer
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
        self.killed = status < 0 and not self.overdue
        self.state, self.error = self._ending(status, stopping=stopping, error=error)
        _remove_if_empty(self.job.log)

    def _ending(self, status: int, *, stopping: bool, error: str) -> tuple[RunState, str]:
        if self.overdue and status != 0:
            return RunState.FAILED, "took longer than timeout_minutes"
        if status in {INTERRUPTED, PREEMPTED}:
            return RunState.PREEMPTED, "asked to stop"
        if stopping and status < 0:
            return RunState.CUT_OFF, "asked to stop, and killed"
        told = error or reason(status, last_line(self.job.log))
        return self.judged(status), told if status else ""

    def judged(self, status: int) -> RunState:
        """Name its state after its process's end; the run's own folder may know it better.

        Args:
            status: The exit code, or minus the signal that killed it.
        """
        own = self.progress.state
        if status == 0:
            return RunState.PRUNED if own is RunState.PRUNED else RunState.FINISHED
        if own is RunState.DIVERGED or (own is RunState.CUT_OFF and status < 0):
            return own
        return RunState.FAILED


def labels(words: Sequence[Sequence[str]]) -> list[str]:
    """Call each job by those of its words that not all jobs share; an empty text if it has none.

    A key goes without its group where that is clear: `lr=0.01` for `optimizer.lr=0.01`.
    """
    shared = set(words[0]).intersection(*words[1:]) if len(words) > 1 else set[str]()
    apart = [[word for word in own if word not in shared] for own in words]
    keys = {word.partition("=")[0] for own in apart for word in own}
    ends = Counter(key.rpartition(".")[2] for key in keys)
    short = {key: end for key in keys if ends[end := key.rpartition(".")[2]] == 1}
    return [" ".join(_renamed(word, short) for word in own) for own in apart]


def _renamed(word: str, names: Mapping[str, str]) -> str:
    key, sign, value = word.partition("=")
    return f"{names.get(key, key)}{sign}{value}"


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
