"""Jobs as tasks of a Ray cluster: sent, awaited, cancelled, and sent again when they are lost."""

import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import (
    NodeDiedError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from etude.base.errors import INTERRUPTED, PREEMPTED
from etude.launch.job import Entry, Job, Settings
from etude.launch.loop import TICK, JobsDisplay, Loop, Refill
from etude.launch.machine import CPU
from etude.runs.state import RunState
from hydra_plugins.etude_ray._work import Task, do

_ALONG = ("ETUDE_", "HYDRA_")  # variables that jobs get from here, whichever machine they are on
_LOST: Mapping[type[RayError], str] = {
    OutOfMemoryError: "ended by Ray, because its machine's memory was full",
    NodeDiedError: "its machine was lost",
    WorkerCrashedError: "its process died; out of memory?",
}


class _Sent(NamedTuple):
    """A task on its way: its future result, and the bytes that the job's log had before."""

    result: Any
    logged: int


class Tasks(Loop):
    """Runs jobs as tasks of the cluster that this process is connected to.

    Ray's own `max_retries` would not do: it neither says that a job is tried again nor tries one
    that its machine asked to stop.

    Args:
        jobs: In the order in which people know them.
        share: What a job takes: `num_cpus`, `num_gpus` and `resources`.
        settings: How they are treated; only what is lost is tried again.
        display: Shows how it goes.
        refill: See `Loop`.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        share: Mapping[str, Any],
        settings: Settings,
        display: JobsDisplay,
        refill: Refill | None = None,
    ) -> None:
        super().__init__(jobs, settings=settings, display=display, refill=refill)
        # A new process for each job, so that none inherits another's memory or broken device.
        self._do: Any = ray.remote(max_calls=1, max_retries=0, **share)(do)
        self._sent: dict[int, _Sent] = {}
        self._lost: set[int] = set()

    def _running(self) -> list[Entry]:
        """Give what was sent, whether or not the cluster has begun with it."""
        return [self.entries[number] for number in self._sent]

    def _start_one(self, entry: Entry) -> bool:
        """Send a job, once; the cluster finds the place."""
        job = entry.job
        if job.number in self._sent:
            return False
        task = Task(
            call=job.call(),
            environment={k: v for k, v in os.environ.items() if k.startswith(_ALONG)},
            arguments=sys.argv,
            path=[str(Path(folder).absolute()) for folder in sys.path],
            working_folder=str(Path.cwd()),
            threads=self._settings.threads,
            folder=job.folder,
            log=job.log,
            tries=entry.tries + 1,
        )
        self._lost.discard(job.number)
        self._sent[job.number] = _Sent(self._do.remote(task), _size(job.log))
        return True

    def _await(self) -> None:
        """Wait a moment for jobs that end, and look how far the others are."""
        sent = {each.result: number for number, each in self._sent.items()}
        for result in ray.wait(list(sent), num_returns=len(sent), timeout=TICK)[0]:
            self._done(self.entries[sent[result]])
        for entry in self._running():
            if not self._halted:
                self._note_begun(entry)
            if entry.state is RunState.RUNNING:
                entry.progress = entry.job.progress()

    def _note_begun(self, entry: Entry) -> None:
        """See from a job's log that it has begun: Ray itself tells nobody."""
        if entry.state is RunState.NOT_STARTED and self._has_logged(entry):
            entry.begin(CPU, io.BytesIO())
            self._display.changed(entry)

    def _has_logged(self, entry: Entry) -> bool:
        return _size(entry.job.log) > self._sent[entry.job.number].logged

    def _done(self, entry: Entry) -> None:
        """Take note of a task's end."""
        status, error, answer = self._outcome(entry)
        never_begun = status == INTERRUPTED and not self._has_logged(entry)
        if entry.state is RunState.NOT_STARTED and not never_begun:
            entry.begin(CPU, io.BytesIO())
        del self._sent[entry.job.number]
        if entry.state is RunState.RUNNING:
            entry.answer = io.BytesIO(answer)
            self._ended(entry, status, error)

    def _outcome(self, entry: Entry) -> tuple[int, str, bytes]:
        """Give a job's exit code, why it failed if Ray knows that, and what it returned."""
        try:
            answer, status = ray.get(self._sent[entry.job.number].result)
        except TaskCancelledError:
            return INTERRUPTED, "", b""
        except RayTaskError as error:  # a mistake outside of the job's own code
            return 1, _last_line(error.cause), b""
        except RayError as error:
            self._lost.add(entry.job.number)
            why = next((_LOST[kind] for kind in _LOST if isinstance(error, kind)), None)
            return -signal.SIGKILL, why or _last_line(error), b""
        if status in {INTERRUPTED, PREEMPTED} and not self._halted:  # `ray stop`, say
            self._lost.add(entry.job.number)
            return -signal.SIGTERM, "its machine asked it to stop", b""
        return status, "", answer

    def _again(self, entry: Entry) -> bool:
        """Try again what was lost: an error of a job's own would come again."""
        return entry.job.number in self._lost and super()._again(entry)

    def _signal(self, entry: Entry, number: signal.Signals) -> None:
        """Cancel what waits; a job that runs hears Ctrl-C, whatever the signal, or is killed."""
        with suppress(RayError, ConnectionError):
            ray.cancel(self._sent[entry.job.number].result, force=number == signal.SIGKILL)

    def _close(self) -> None:
        """Leave the cluster to others."""


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
