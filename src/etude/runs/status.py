"""Where runs stand, as their folders tell: for tables, reports, and another terminal."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, cast

from etude.base.duration import STARTING, scaled_epochs
from etude.runs.claim import is_claimed
from etude.runs.environment import read_environment
from etude.runs.find import find_runs
from etude.runs.names import LISTING, LOCK, METRICS, REPLACED, SUMMARY
from etude.runs.records import EpochRow, Summary, read_as, read_rows, read_summary, write_json
from etude.runs.state import RunState

_KNOWN = set(RunState)


class _Listed(TypedDict):
    """A run of the last sweep or study, as `jobs.json` has it."""

    folder: str
    label: str
    epochs: int


@dataclass(frozen=True)
class RunStatus:
    """How far one run is.

    Args:
        folder: Its folder.
        label: What its study calls it.
        state: Where it stands.
        epoch: Epochs done.
        epochs: Epochs asked for; None where nobody knows.
        accuracy: At its end on the test split; before, the last epoch's evaluation.
        seconds_an_epoch: The median of those done; None before the first.
        seconds_left: Of training; None where nothing can be told yet.
        error: What ended it.
    """

    folder: Path
    label: str
    state: RunState
    epoch: int
    epochs: int | None
    accuracy: float | None
    seconds_an_epoch: float | None
    seconds_left: float | None
    error: str

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label or self.folder.name

    def plain(self) -> Mapping[str, object]:
        """Give it as JSON has it."""
        return {**vars(self), "folder": str(self.folder)}


def status(folder: Path, label: str = "", epochs: int | None = None) -> RunStatus:
    """Read where a run stands; this takes no lock, and keeps no run from beginning.

    Args:
        folder: Its folder, which need not be there.
        label: What its study calls it.
        epochs: Asked for; its summary knows better where there is one.
    """
    summary = current_summary(folder)
    rows = read_rows(folder) if summary is not None else []
    epochs = epochs if summary is None else _epochs(summary)
    state = state_of(summary)
    times = [row["seconds"] for row in rows if row.get("seconds")]
    each = statistics.median(times) if times else None
    return RunStatus(
        folder=folder,
        label=label,
        state=state,
        epoch=len(rows),
        epochs=epochs,
        accuracy=_accuracy(summary, rows),
        seconds_an_epoch=each,
        seconds_left=_left(folder, state, len(rows), epochs, each),
        error="" if summary is None else summary.get("error", ""),
    )


def current_summary(folder: Path) -> Summary | None:
    """Give a run's summary, with the state that holds now, which its process may not have said.

    It is `cut off` where the process died without a word, `diverged` where that is why it failed.
    """
    summary = read_summary(folder)
    if summary is not None and summary["state"] == RunState.RUNNING and not _at_work(folder):
        # It may have finished, and let go of its folder, after its summary was read.
        summary = read_summary(folder) or summary
        if summary["state"] == RunState.RUNNING:
            return {**summary, "state": RunState.CUT_OFF}
    return summary and {**summary, "state": state_of(summary)}


def state_of(summary: Summary | None) -> RunState:
    """Name the state that a summary tells of, whether or not its process is alive."""
    if summary is None:
        return RunState.NOT_STARTED
    if summary["state"] == RunState.FAILED and summary.get("error", "").startswith("Diverged"):
        return RunState.DIVERGED
    # A word of a later version: as far as this one can tell, the run is not finished.
    return RunState(summary["state"]) if summary["state"] in _KNOWN else RunState.FAILED


def finished(folder: Path) -> bool:
    """Say whether a run is done, so that it need not be trained."""
    return state_of(read_summary(folder)).has_result


def listed(folder: Path) -> list[RunStatus]:
    """Read where all runs in a folder stand, those that are to come included.

    Args:
        folder: Of a study or a sweep, or of one run.
    """
    if (folder / SUMMARY).exists():
        return [status(folder)]
    noted = cast("list[_Listed]", read_as(folder / LISTING, list[_Listed]) or [])
    found = [status(folder / run["folder"], run["label"], run["epochs"]) for run in noted]
    known = {run.folder for run in found}
    beside = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    others = [path for path in beside if REPLACED not in path.name]
    return found + [status(path) for path in others if path not in known]


def listed_below(root: Path) -> list[RunStatus]:
    """Read where all runs below a folder stand, the newest first, each called by its place."""
    folders = {run.parent for run in find_runs(root)}
    folders |= {path.parent for path in root.rglob(LISTING)}
    found = [run for folder in sorted(folders) for run in listed(folder)]
    found.sort(key=_changed, reverse=True)
    return [replace(run, label=f"{_place(run, root)}{run.name}") for run in found]


def _place(run: RunStatus, root: Path) -> str:
    above = os.path.relpath(run.folder.parent, root)
    return "" if above.startswith(".") else f"{above}{': ' if run.label else '/'}"


def _changed(run: RunStatus) -> float:
    """Give the time of a run's summary; of one that is to come, when it was planned."""
    for file in (run.folder / SUMMARY, run.folder.parent / LISTING):
        with suppress(OSError):
            return file.stat().st_mtime
    return 0.0


def note(runs: Iterable[tuple[Path, str, int]]) -> None:
    """Write down which runs there will be: folders, labels and epochs, beside the folders."""
    beside: dict[Path, list[_Listed]] = {}
    for folder, label, epochs in runs:
        run = _Listed(folder=folder.name, label=label, epochs=epochs)
        beside.setdefault(folder.parent, []).append(run)
    for parent, listing in beside.items():
        parent.mkdir(parents=True, exist_ok=True)
        write_json(parent / LISTING, listing)


def seconds_left(runs: Sequence[RunStatus]) -> float | None:
    """Estimate the seconds until all runs are done, as many at a time as are running now."""
    paces = [run.seconds_an_epoch for run in runs if run.seconds_an_epoch is not None]
    if not paces:
        return None
    pace = statistics.median(paces)
    lefts = [_left_of(run, pace) for run in runs if run.state.left]
    running = sum(run.state is RunState.RUNNING for run in runs)
    return sum(lefts) / max(1, running)


def _left_of(run: RunStatus, pace: float) -> float:
    if run.seconds_left is not None:
        return run.seconds_left
    return STARTING + pace * max(0, (run.epochs or 0) - run.epoch)


def _epochs(summary: Summary) -> int | None:
    """Give the epochs that a run was asked for, `scale` applied."""
    asked = summary.get("hyperparameters", {}).get("train.epochs")
    return None if asked is None else scaled_epochs(asked, summary.get("scale", 1.0))


def _accuracy(summary: Summary | None, rows: Sequence[EpochRow]) -> float | None:
    if summary is not None and state_of(summary).has_result:
        return summary["final"].get("test_accuracy")
    if not rows:
        return None
    return rows[-1].get("validation_accuracy", rows[-1].get("test_accuracy"))


def _left(
    folder: Path, state: RunState, epoch: int, epochs: int | None, each: float | None
) -> float | None:
    """Estimate a run's seconds from its epochs so far; the one under way is partly done."""
    if not state.left:
        return 0.0
    if each is None or epochs is None:
        return None
    try:
        running = state is RunState.RUNNING
        spent = time.time() - (folder / METRICS).stat().st_mtime if running else 0.0
    except OSError:
        spent = 0.0
    spent = min(max(spent, 0.0), each)  # a clock that is set back lets a file be from later
    return max(0.0, each * (epochs - epoch) - spent)


def _at_work(folder: Path) -> bool:
    """Say whether a process may hold the run's folder.

    Not every file system tells other machines of its locks, so that the word of a run on another
    one is taken while its lock's file is there.
    """
    if is_claimed(folder):
        return True
    if not (folder / LOCK).exists():
        return False
    made = read_environment(folder)
    last = [made, *made.get("resumed", [])][-1]
    return last.get("host", socket.gethostname()) != socket.gethostname()
