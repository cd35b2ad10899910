"""Where runs stand, as their folders tell: for the launcher's table and from another terminal."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.record.folder import (
    ENVIRONMENT,
    LOCK,
    METRICS,
    SUMMARY,
    read_metrics,
    read_summary,
    write_json,
)

LISTING = "jobs.json"  # beside the runs' folders: what the last sweep or study wants there


@dataclass(frozen=True)
class Standing:
    """How far one run is.

    Args:
        folder: Its folder.
        label: What its study calls it.
        state: `not started`, `running`, `cut off` (its process is gone), `preempted` (it saved),
            `failed` or `finished`.
        epoch: Epochs done.
        epochs: Epochs asked for; None where nobody knows.
        accuracy: At its end on the test split; before, the last epoch's evaluation.
        seconds_an_epoch: The median of those done; None before the first.
        seconds_left: Of training; None where nothing can be told yet.
        error: What ended it.
    """

    folder: Path
    label: str
    state: str
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

    def plain(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {**vars(self), "folder": str(self.folder)}


def standing(folder: Path, label: str = "", epochs: int | None = None) -> Standing:
    """Read where a run stands.

    Args:
        folder: Its folder, which need not be there.
        label: What its study calls it.
        epochs: Asked for; its summary knows better where there is one.
    """
    summary = read_summary(folder)
    rows = read_metrics(folder) if summary is not None else []
    epochs = epochs if summary is None else _epochs(summary)
    state = _state(folder, summary)
    each = statistics.median(row["seconds"] for row in rows) if rows else None
    return Standing(
        folder=folder,
        label=label,
        state=state,
        epoch=len(rows),
        epochs=epochs,
        accuracy=_accuracy(summary, rows),
        seconds_an_epoch=each,
        seconds_left=_left(folder, state, len(rows), epochs, each),
        error=(summary or {}).get("error", ""),
    )


def summary_now(folder: Path) -> dict[str, Any] | None:
    """Give a run's summary; its state is `cut off` where its process did not live to say so."""
    summary = read_summary(folder)
    return summary and {**summary, "state": _state(folder, summary)}


def listed(folder: Path) -> list[Standing]:
    """Read where all runs in a folder stand, those that are to come included.

    Args:
        folder: Of a study or a sweep, or of one run.
    """
    if (folder / SUMMARY).exists():
        return [standing(folder)]
    try:
        wanted = json.loads((folder / LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        wanted = []
    found = [standing(folder / job["folder"], job["label"], job["epochs"]) for job in wanted]
    known = {run.folder for run in found}
    others = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    return found + [standing(path) for path in others if path not in known]


def note(runs: Iterable[tuple[Path, str, int]]) -> None:
    """Write down which runs are wanted: folders, labels and epochs, beside the folders."""
    beside: dict[Path, list[dict[str, Any]]] = {}
    for folder, label, epochs in runs:
        job = {"folder": folder.name, "label": label, "epochs": epochs}
        beside.setdefault(folder.parent, []).append(job)
    for parent, listing in beside.items():
        parent.mkdir(parents=True, exist_ok=True)
        write_json(parent / LISTING, listing)


def seconds_left(runs: Sequence[Standing]) -> float | None:
    """Estimate the seconds until all runs are finished, as many at a time as are running now."""
    paces = [run.seconds_an_epoch for run in runs if run.seconds_an_epoch is not None]
    if not paces:
        return None
    pace = statistics.median(paces)
    lefts = [_left_of(run, pace) for run in runs if run.state != "finished"]
    running = sum(run.state == "running" for run in runs)
    return sum(lefts) / max(1, running)


def _left_of(run: Standing, pace: float) -> float:
    if run.seconds_left is not None:
        return run.seconds_left
    return pace * max(0, (run.epochs or 0) - run.epoch)


def _epochs(summary: dict[str, Any]) -> int:
    """Give the epochs that a run was asked for, `scale` applied as in its configuration."""
    return max(1, round(summary["hyperparameters"]["train.epochs"] * summary["scale"]))


def _state(folder: Path, summary: dict[str, Any] | None) -> str:
    if summary is None:
        return "not started"
    if summary["state"] == "running" and not _at_work(folder):
        # It may have finished, and let go of its folder, after its summary was read.
        later = read_summary(folder) or summary
        return "cut off" if later["state"] == "running" else str(later["state"])
    return str(summary["state"])


def _accuracy(summary: dict[str, Any] | None, rows: Sequence[dict[str, Any]]) -> float | None:
    if summary is not None and "final" in summary:
        return summary["final"]["test_accuracy"]
    last = rows[-1] if rows else {}
    return last.get("validation_accuracy", last.get("test_accuracy"))


def _left(
    folder: Path, state: str, epoch: int, epochs: int | None, each: float | None
) -> float | None:
    """Estimate a run's seconds from its epochs so far; the one under way is partly done."""
    if state == "finished":
        return 0.0
    if each is None or epochs is None:
        return None
    try:
        spent = time.time() - (folder / METRICS).stat().st_mtime if state == "running" else 0.0
    except OSError:
        spent = 0.0
    return max(0.0, each * (epochs - epoch) - min(spent, each))


def _at_work(folder: Path) -> bool:
    """Say whether a process holds the run's folder; where that cannot be told, say yes.

    The system's list of locks is read, because trying the lock would keep a run from beginning.
    """
    lock = folder / LOCK
    try:
        made = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
        locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
        inode = str(lock.stat().st_ino)
    except FileNotFoundError:
        return lock.exists()
    except (OSError, ValueError):
        return True
    last = [made, *made.get("resumed", [])][-1]
    if last["host"] != socket.gethostname():
        return True
    return any(line.split()[5].rpartition(":")[2] == inode for line in locks if "FLOCK" in line)
