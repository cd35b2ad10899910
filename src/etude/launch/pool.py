"""The loop that starts jobs, watches them, tries them again, and stops them."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from etude.launch.child import GRACE
from etude.launch.client import Forks, Lost
from etude.launch.job import Entry, Job, Settings, State, exists, ran_out_of_cuda_memory
from etude.launch.slots import Slots, visible_devices
from etude.launch.stopping import Stopping
from etude.launch.wire import STARTED

_TICK = 0.25  # seconds between two looks at the clock and at the jobs' folders


class Display(Protocol):
    """What shows people where the jobs stand."""

    def changed(self, entry: Entry) -> None:
        """Show that a job has begun or ended."""
        ...

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None:
        """Show where all jobs stand."""
        ...


class Pool:
    """Runs jobs, each in a process of its own.

    Args:
        jobs: In the order in which people know them.
        slots: Where they may run.
        settings: How they are treated.
        forks: Gives the fork server, or a new one in the place of one that died.
        display: Shows how it goes.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        slots: Slots,
        settings: Settings,
        forks: Callable[[], Forks],
        display: Display,
    ) -> None:
        self.entries = {job.number: Entry(job) for job in jobs}
        self._slots, self._settings, self._display = slots, settings, display
        self._new_forks, self._forks = forks, None
        self._by_folder = {entry.job.folder: entry for entry in self.entries.values()}
        self._stopping = Stopping()
        self._failed_fast = False

    def run(self) -> list[Entry]:
        """Run all jobs; give what became of each, in order. Some may be waiting still.

        Raises:
            SystemExit: A signal asked to stop, and every job has had the time to save: 130 after
                Ctrl-C, else 75. The second signal ends it at once.
        """
        entries = list(self.entries.values())
        for entry in entries:
            entry.progress = entry.job.progress()
            if entry.job.about.finished:
                entry.state = State.BEFORE
                self._display.changed(entry)
        with self._stopping.listening():
            try:
                while self._start() or self._running():
                    self._await()
                    self._enforce()
                    self._display.look(entries, stopping=self._halted)
            finally:
                self._kill()
        if self._stopping.asked is not None:
            raise SystemExit(self._stopping.code)
        return entries

    @property
    def _halted(self) -> bool:
        """Whether no more jobs are to be started."""
        return self._failed_fast or self._stopping.asked is not None

    def _running(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.state is State.RUNNING]

    # --- starting -----------------------------------------------------------------------------
    def _start(self) -> bool:
        """Start what can be started, longest first; say whether anything was."""
        if self._halted:
            return False
        waiting = [entry for entry in self.entries.values() if entry.state is State.WAITING]
        waiting.sort(key=lambda entry: -entry.job.about.cost)
        started = [entry for entry in waiting if self._ready(entry) and self._placed(entry)]
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

    def _placed(self, entry: Entry) -> bool:
        """Start a job if there is a place for it."""
        job = entry.job
        on_cpu = self._slots.devices[0].is_cpu
        device = self._slots.take(
            job.number,
            device=job.about.device,
            memory=None if on_cpu else job.memory(),
            alone=entry.alone,
        )
        if device is None:
            return False
        if self._forks is None:
            self._forks = self._new_forks()
        threads = self._settings.threads
        environment = visible_devices(device, job.about.device)
        try:
            answer = self._forks.start(
                job.number, job.call(), job.log, threads=threads, environment=environment
            )
        except Lost:
            self._slots.give_back(job.number)
            self._mourn()
            return True  # the next turn tries again, with a new server
        entry.begin(device, answer)
        self._display.changed(entry)
        return True

    def _give_up(self, waiting: Sequence[Entry]) -> None:
        """Fail the jobs that nothing can start any more."""
        for entry in waiting:
            if entry.state is State.WAITING:
                about = entry.job.about
                why = "its jobs wait for each other" if about.after else f"no {about.device} here"
                self._fail(entry, f"it could not be started: {why}")

    def _fail(self, entry: Entry, error: str) -> None:
        entry.state, entry.error = State.FAILED, error
        self._display.changed(entry)
        self._failed_fast |= self._settings.fail_fast

    # --- watching -----------------------------------------------------------------------------
    def _await(self) -> None:
        """Wait a moment for jobs that end."""
        if self._forks is None:
            return
        try:
            timeout = _TICK
            while select.select([self._forks.channel], [], [], timeout)[0]:
                event = self._forks.event()
                entry = self.entries[event.job]
                if event.status == STARTED:  # the first ones wait for the fork server
                    entry.process, entry.since = event.process, time.monotonic()
                else:
                    self._ended(entry, event.status)
                timeout = 0.0
        except Lost:
            self._mourn()
        for entry in self._running():
            entry.progress = entry.job.progress()

    def _ended(self, entry: Entry, status: int) -> None:
        """Take note of a job's end; try it again if it may be."""
        self._slots.give_back(entry.job.number)
        entry.end(status, stopping=self._halted)
        out_of_memory = ran_out_of_cuda_memory(entry.error) and not entry.alone
        retry = entry.tries <= self._settings.retries or out_of_memory
        if entry.state is State.FAILED and retry and not self._halted:
            entry.alone |= out_of_memory
            self._display.changed(entry)
            entry.state = State.WAITING
            return
        self._display.changed(entry)
        self._failed_fast |= entry.state is State.FAILED and self._settings.fail_fast

    def _mourn(self) -> None:
        """Wait for the jobs of a fork server that died; the system has asked them to stop."""
        end = time.monotonic() + GRACE + 1
        running = self._running()
        while time.monotonic() < end and any(exists(entry.process) for entry in running):
            time.sleep(_TICK)
        for entry in running:
            self._ended(entry, -signal.SIGTERM)
        self._close()

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

    def _signal(self, entry: Entry, number: signal.Signals) -> None:
        if self._forks is not None:
            with suppress(Lost):  # the next wait will find out
                self._forks.signal(entry.job.number, number)

    def _kill(self) -> None:
        """End what still runs; only a second signal, or a mistake of ours, leaves anything."""
        if running := self._running():
            for entry in running:
                self._signal(entry, signal.SIGKILL)
            self._close()

    def _close(self) -> None:
        if self._forks is not None:
            self._forks.close()
            self._forks = None
