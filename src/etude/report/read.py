"""From folders to the runs in them: the only way into a report."""

import fcntl
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from etude.errors import UserError
from etude.record.folder import ENVIRONMENT, LOCK, SUMMARY, read_metrics, read_summary
from etude.record.plan import PLAN, read_plan

CONFUSION, OVERRIDES = "confusion.json", ".hydra/overrides.yaml"
# In the order in which a reader should worry.
STATES = ("finished", "running", "preempted", "interrupted", "diverged", "failed", "not started")
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What one run's folder says.

    Args:
        folder: Where it is.
        state: One of `STATES`.
        summary: `summary.json`, empty before the run has begun.
        plan: Of the study that it belongs to; empty without one.
        columns: `metrics.jsonl` by key, NaN where an epoch has no number.
    """

    folder: Path
    state: str
    summary: Values = field(default_factory=dict[str, Any])
    plan: Values = field(default_factory=dict[str, Any])
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])

    @property
    def name(self) -> str:
        """The experiment's or the study's name."""
        study = self.plan.get("study") if self._planned else None
        return str(study or self.summary.get("name") or self.folder.parent.name)

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.summary.get("seed", self._planned.get("seed", 0)))

    @property
    def label(self) -> str | None:
        """Its arm, as its study calls it."""
        return self._planned.get("arm")

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Everything that can change its result, by dotted key."""
        return self.summary.get("hyperparameters", {})

    @cached_property
    def words(self) -> dict[str, str]:
        """The words that it was composed from, by key, without the seed and the name."""
        try:
            lines = (self.folder / OVERRIDES).read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        pairs = (line.removeprefix("- ").strip("'\"").partition("=") for line in lines)
        return {key: word for key, _, word in pairs if word and key not in {"seed", "name"}}

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What it was made with."""
        return _read(self.folder / ENVIRONMENT)

    @cached_property
    def confusion(self) -> dict[str, Any]:
        """Classes and counts of the best weights' answers; empty where they were not kept."""
        return _read(self.folder / CONFUSION)

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.columns.get("epoch", ()))

    def value(self, metric: str) -> float | None:
        """Give `final.<key>`, `best.<key>` or `<key>` of the summary; None if it is no number."""
        place, _, key = metric.rpartition(".")
        found = self.summary.get(place, {}).get(key) if place else self.summary.get(key)
        return float(found) if isinstance(found, int | float) else None

    @property
    def _planned(self) -> dict[str, Any]:
        return self.plan.get("runs", {}).get(self.folder.name, {})


def read(folders: Iterable[Path]) -> list[Run]:
    """Read every run in or below some folders, those that a study has only planned included.

    Raises:
        UserError: A folder does not exist, or there is no run in any of them.
    """
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            beside = [path.name for path in folder.absolute().parent.glob("*/")]
            near = get_close_matches(folder.name, beside, n=1)
            hint = (
                f"did you mean {folder.parent / near[0]}?" if near else "give one that holds runs"
            )
            raise UserError(f"{folder} is no folder; {hint}")
    found = {path.resolve(): path for folder in folders for path in _below(folder)}
    plans: dict[Path, dict[str, Any]] = {}
    runs = [read_run(path, plans) for path in found.values()]
    for parent, plan in plans.items():
        whole = any(parent.resolve().is_relative_to(folder.resolve()) for folder in folders)
        missing = (parent / name for name in plan.get("runs", {}) if whole)
        runs += [Run(path, "not started", plan=plan) for path in missing if not path.exists()]
    if not runs:
        given = ", ".join(map(str, folders))
        raise UserError(f"there is no run below {given}: no folder with a {SUMMARY}")
    return sorted(runs, key=lambda run: (run.name, _place(run), run.folder.name))


def read_run(folder: Path, plans: dict[Path, dict[str, Any]] | None = None) -> Run:
    """Read one run's folder; `plans` keeps the plans of the folders above, read once each."""
    plans = {} if plans is None else plans
    if folder.parent not in plans:
        plans[folder.parent] = read_plan(folder.parent) or {}
    summary = read_summary(folder) or {}
    return Run(folder, _state(folder, summary), summary, plans[folder.parent], _columns(folder))


def _below(folder: Path) -> Iterator[Path]:
    """Find the folders of runs, and of studies none of whose runs has begun."""
    for path, inner, files in os.walk(folder):
        if SUMMARY in files or ".replaced-" in Path(path).name:
            inner.clear()
        inner.sort()
        if SUMMARY in files and ".replaced-" not in Path(path).name:
            yield Path(path)
        elif PLAN in files:
            plan = read_plan(Path(path)) or {}
            yield from (
                Path(path, name) for name in plan.get("runs", {}) if Path(path, name).is_dir()
            )


def _place(run: Run) -> int:
    """Order runs as their study planned them."""
    planned = list(run.plan.get("arms", {}))
    return planned.index(run.label) if run.label in planned else len(planned)


def _state(folder: Path, summary: Values) -> str:
    state = summary.get("state", "not started")
    if state == "failed" and str(summary.get("error", "")).startswith("Diverged"):
        return "diverged"
    if state == "running" and not _held(folder / LOCK):
        return "interrupted"  # killed: nobody could write how it ended
    return state


def _held(lock: Path) -> bool:
    """Say whether a process is at work in the folder: it holds the lock's file for that long."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _columns(folder: Path) -> "dict[str, array[float]]":
    """Turn rows into columns, which take a tenth of the memory."""
    rows = read_metrics(folder)
    keys = {key for row in rows for key in row}
    nan = float("nan")
    return {
        key: array("d", (v if isinstance(v := row.get(key), int | float) else nan for row in rows))
        for key in sorted(keys)
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
