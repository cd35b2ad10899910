"""Jobs on this machine: each in a process of its own, that the fork server makes."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from etude.base.processes import exists
from etude.launch.child import GRACE
from etude.launch.client import Forks, Lost
from etude.launch.job import Entry, Job, Settings, ran_out_of_cuda_memory
from etude.launch.loop import TICK, JobsDisplay, Loop, Refill
from etude.launch.needs import Needs
from etude.launch.slots import Slots, visible_devices
from etude.launch.wire import STARTED


class Pool(Loop):
    """Runs jobs, each in a process of its own.

    Args:
        jobs: In the order in which people know them.
        slots: Where they may run.
        settings: How they are treated.
        forks: Gives the fork server, or a new one in the place of one that died.
        display: Shows how it goes.
        refill: See `Loop`.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        slots: Slots,
        settings: Settings,
        forks: Callable[[], Forks],
        display: JobsDisplay,
        refill: Refill | None = None,
    ) -> None:
        super().__init__(jobs, settings=settings, display=display, refill=refill)
        self._slots, self._new_forks, self._forks = slots, forks, None
        self._needs = Needs()
        self._on_cpu = slots.devices[0].is_cpu

    def _start_one(self, entry: Entry) -> bool:
        """Start a job if there is a place for it."""
        job = entry.job
        if not self._on_cpu:
            self._needs.known(job)
        # The first on a GPU need not wait until that is known, the others must.
        device = self._slots.take(
            job.number,
            device=job.about.device,
            memory=self._needs.of(job),
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

    def _await(self) -> None:
        """Wait a moment for jobs that end."""
        if self._forks is None:
            return
        try:
            timeout = TICK
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
            if not self._on_cpu and self._needs.known(entry.job):
                self._slots.learn(entry.job.number, self._needs.of(entry.job), alone=entry.alone)

    def _ended(self, entry: Entry, status: int, error: str = "") -> None:
        """Make the job's place free first."""
        self._slots.give_back(entry.job.number)
        super()._ended(entry, status, error)

    def _again(self, entry: Entry) -> bool:
        """Try one that found its GPU too full again alone, however often it was tried."""
        out_of_memory = ran_out_of_cuda_memory(entry.error) and not entry.alone
        entry.alone |= out_of_memory
        return super()._again(entry) or out_of_memory

    def _mourn(self) -> None:
        """Wait for the jobs of a fork server that died; the system has asked them to stop."""
        end = time.monotonic() + GRACE + 1
        running = self._running()
        while time.monotonic() < end and any(exists(entry.process) for entry in running):
            time.sleep(TICK)
        for entry in running:
            self._ended(entry, -signal.SIGTERM)
        self._close()

    def _signal(self, entry: Entry, number: signal.Signals) -> None:
        if self._forks is not None:
            with suppress(Lost):  # the next wait will find out
                self._forks.signal(entry.job.number, number)

    def _close(self) -> None:
        if self._forks is not None:
            self._forks.close()
            self._forks = None
