"""SLURM's queue: where jobs stand, asked of `squeue`, which needs no accounting as `sacct` does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

_FIRST, _LONGEST = 2.0, 15.0  # seconds between two questions; all users share one controller
_PATIENCE = 60.0  # seconds for an answer
_GONE = "GONE"  # the controller forgets a job some minutes after its end
_AT_WORK = {"RUNNING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED"}
_AHEAD = {
    "PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING",
    "RESV_DEL_HOLD", "SPECIAL_EXIT",
}  # fmt: skip
_ENDING = "COMPLETING"


class Queue:
    """What SLURM says of some jobs; it is asked now and then, and less often in the long run.

    Args:
        jobs: Their ids, such as `12_3` for one of an array.
    """

    def __init__(self, jobs: Collection[str]) -> None:
        self._jobs = tuple(jobs)
        self._began = time.monotonic()
        self._asked = float("-inf")
        self._states: Mapping[str, str] = {}

    def look(self) -> bool:
        """Ask where the jobs stand, unless that was done just now; say whether there is news.

        A controller that does not answer is asked again later: its jobs go on without it.
        """
        now = time.monotonic()
        if now - self._asked < min(_LONGEST, max(_FIRST, (now - self._began) / 10)):
            return False
        self._asked = now
        states = ask(self._jobs)
        self._states = self._states if states is None else states
        return states is not None

    def state(self, job: str) -> str:
        """Give SLURM's word for where a job stands; an empty text before the first answer."""
        return self._states.get(job, "")


def is_at_work(state: str) -> bool:
    """Say whether a job is being done."""
    return state in _AT_WORK


def is_ahead(state: str) -> bool:
    """Say whether a job will be done, for the first time or again."""
    return state in _AHEAD


def is_over(state: str) -> bool:
    """Say whether nothing more will happen to a job."""
    return bool(state) and state not in {_ENDING, *_AT_WORK, *_AHEAD}


def ask(jobs: Collection[str]) -> Mapping[str, str] | None:
    """Ask where jobs stand: SLURM's word for each, `GONE` if it knows none; None for no answer."""
    if not jobs:
        return {}
    arrays = sorted({job.partition("_")[0] for job in jobs}, key=int)
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T"]
    try:
        asked = subprocess.run(  # noqa: S603 (our own words)
            [*command, f"--jobs={','.join(arrays)}"],
            capture_output=True, text=True, timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return None
    known = dict(line.split(maxsplit=1) for line in asked.stdout.splitlines() if " " in line)
    return {job: known.get(job, _GONE).strip() for job in jobs}


def short(jobs: Sequence[str]) -> str:
    """Write jobs as SLURM's commands take them: `12_[0,2],13`."""
    parts: list[str] = []
    for array, own in groupby(sorted(jobs, key=_numbers), key=lambda job: job.partition("_")[0]):
        tasks = [job.partition("_")[2] for job in own]
        one = f"{array}_{tasks[0]}" if tasks[0] else array
        parts.append(one if len(tasks) == 1 else f"{array}_[{_ranges(tasks)}]")
    return ",".join(parts)


def _numbers(job: str) -> list[int]:
    return [int(number) for number in job.split("_")]


def _ranges(tasks: Sequence[str]) -> str:
    """Write numbers as `0-2,5`."""
    ordered = sorted(map(int, tasks))
    runs = [[pair[1] for pair in own] for _, own in groupby(
        enumerate(ordered), key=lambda pair: pair[1] - pair[0]
    )]  # fmt: skip
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
