"""The loop that starts jobs, watches them, tries them again, and stops them."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from etude.base import startup
from etude.launch.job import Entry, Job, Settings
from etude.launch.stopping import Stopping
from etude.runs.state import RunState

TICK = 0.25  # seconds between two looks at the clock and at the jobs' folders


class JobsDisplay(Protocol):
    """What shows people where the jobs stand."""

    def changed(self, entry: Entry) -> None:
        """Show that a job has begun or ended."""
        ...

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None:
        """Show where all jobs stand."""
        ...


class Refill(Protocol):
    """What gives jobs as others end, such as a search."""

    def __call__(self, ended: Sequence[Entry], *, more: bool) -> Sequence[Job]:
        """Take note of jobs that have ended, and give more.

        Args:
            ended: Since the call before.
            more: Whether any more will be started.
        """
        ...


class Loop(ABC):
    """Runs jobs; where and how one runs is for those who build on it to say.

    Args:
        jobs: In the order in which people know them.
        settings: How they are treated.
        display: Shows how it goes.
        refill: Gives more of them as they end; None: these are all.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        settings: Settings,
        display: JobsDisplay,
        refill: Refill | None = None,
    ) -> None:
        self.entries: dict[int, Entry] = {}
        self._settings, self._display, self._refill = settings, display, refill
        self._by_folder: dict[Path, Entry] = {}
        self._told: set[int] = set()  # jobs whose end what refills has been told of
        self._add(jobs)
        self._stopping = Stopping()
        self._failed_fast = False

    @abstractmethod
    def _start_one(self, entry: Entry) -> bool:
        """Start a job if there is a place for it."""

    @abstractmethod
    def _await(self) -> None:
        """Wait a moment for jobs that end, and look how far the others are."""

    @abstractmethod
    def _signal(self, entry: Entry, number: signal.Signals) -> None:
        """Signal a job, if it is still there."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of what the jobs ran in."""

    def run(self) -> list[Entry]:
        """Run all jobs; give what became of each, in order. Some may be waiting still.

        Raises:
            SystemExit: A signal asked to stop, and every job has had the time to save: 130 after
                Ctrl-C, else 75. The second signal ends it at once.
        """
        self._look_up(self.entries.values())
        with self._stopping.listening():
            try:
                while self._go_on():
                    self._await()
                    self._enforce()
                    self._display.look([*self.entries.values()], stopping=self._halted)
            finally:
                self._kill()
        if self._stopping.asked is not None:
            raise SystemExit(self._stopping.code)
        return list(self.entries.values())

    @property
    def _halted(self) -> bool:
        """Whether no more jobs are to be started."""
        return self._failed_fast or self._stopping.asked is not None

    def _running(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state is RunState.RUNNING]

    # --- starting -----------------------------------------------------------------------------
    def _add(self, jobs: Sequence[Job]) -> list[Entry]:
        entries = [Entry(job) for job in jobs]
        self.entries |= {entry.job.number: entry for entry in entries}
        self._by_folder |= {entry.job.folder: entry for entry in entries}
        return entries

    def _look_up(self, entries: Iterable[Entry]) -> None:
        """Find out how far jobs are since an earlier command."""
        for entry in entries:
            entry.progress = entry.job.progress()
            if entry.job.about.finished:
                entry.state = RunState.FINISHED
                self._display.changed(entry)

    def _go_on(self) -> bool:
        """Start what can be started; say whether there is anything to wait for."""
        started = self._start()
        while self._take_in():
            started |= self._start()
        return started or bool(self._running())

    def _take_in(self) -> bool:
        """Have others take the place of the jobs that have ended; say whether any had."""
        ended = [e for e in self.entries.values() if e.over and e.job.number not in self._told]
        if self._refill is None or not ended:
            return False
        self._told |= {entry.job.number for entry in ended}
        self._look_up(self._add(self._refill(ended, more=not self._halted)))
        return True

    def _start(self) -> bool:
        """Start what can be started, longest first; say whether anything was."""
        if self._halted:
            return False
        waiting = [entry for entry in self.entries.values() if entry.state is RunState.NOT_STARTED]
        waiting.sort(key=lambda entry: -entry.job.about.cost)
        started = [entry for entry in waiting if self._ready(entry) and self._start_one(entry)]
        if started:
            startup.note_work("a launcher's job")
        if waiting and not started and not self._running():
            self._give_up(waiting)
        return bool(started)

    def _ready(self, entry: Entry) -> bool:
        """Say whether the jobs that it needs are finished; it fails with one that is not."""
        needed = [self._by_folder.get(folder) for folder in entry.job.about.after]
        for other in needed:
            if other is not None and other.over and not other.done:
                self._fail(entry, f"needs {other.job.label}, which did not finish")
                return False
        return all(other is None or other.done for other in needed)

    def _give_up(self, waiting: Sequence[Entry]) -> None:
        """Fail the jobs that nothing can start any more."""
        for entry in waiting:
            if entry.state is RunState.NOT_STARTED:
                about = entry.job.about
                why = "its jobs wait for each other" if about.after else f"no {about.device} here"
                self._fail(entry, f"it could not be started: {why}")

    def _fail(self, entry: Entry, error: str) -> None:
        entry.state, entry.error = RunState.FAILED, error
        self._display.changed(entry)
        self._failed_fast |= self._settings.fail_fast

    # --- watching -----------------------------------------------------------------------------
    def _ended(self, entry: Entry, status: int, error: str = "") -> None:
        """Take note of a job's end; try it again if it may be.

        Args:
            entry: The job.
            status: Its exit code, or minus the signal that killed it.
            error: Why it failed, where that is known better than from its status and its log.
        """
        entry.end(status, stopping=self._halted, error=error)
        retry = entry.lost and not self._halted and self._again(entry)
        self._display.changed(entry)
        if retry:
            entry.state = RunState.NOT_STARTED
            return
        failed = entry.lost or entry.state.went_wrong
        self._failed_fast |= failed and self._settings.fail_fast

    def _again(self, entry: Entry) -> bool:
        """Say whether a job that failed may be tried again."""
        return entry.tries <= self._settings.retries

    # --- stopping -----------------------------------------------------------------------------
    def _enforce(self) -> None:
        """Ask jobs to stop that should, and kill those that do not."""
        now, limit = time.monotonic(), self._settings.timeout_minutes
        for entry in self._running():
            if entry.kill_at is not None:
                if now >= entry.kill_at:
                    self._signal(entry, signal.SIGKILL)
            elif self._halted:
                self._ask(entry, self._stopping.asked or signal.SIGTERM)
            elif limit is not None and now - entry.since > limit * 60:
                entry.overdue = True
                self._ask(entry, signal.SIGTERM)

    def _ask(self, entry: Entry, number: signal.Signals) -> None:
        entry.kill_at = time.monotonic() + self._settings.grace_seconds
        self._signal(entry, number)

    def _kill(self) -> None:
        """End what still runs; only a second signal, or a mistake of ours, leaves anything."""
        if running := self._running():
            for entry in running:
                self._signal(entry, signal.SIGKILL)
            self._close()
