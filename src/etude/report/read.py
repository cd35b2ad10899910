"""From folders to the runs in them: the only way into a report."""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

from etude.errors import UserError
from etude.record.folder import ENVIRONMENT, SUMMARY, read_metrics
from etude.record.plan import PLAN, read_plan
from etude.standing import summary_now

CONFUSION, OVERRIDES = "confusion.json", ".hydra/overrides.yaml"
Values = Mapping[str, Any]


class Planned(NamedTuple):
    """What a study says of one of its runs."""

    arm: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """What a study set out to do; empty for runs of none.

    Args:
        study: Its name.
        question: What it asks.
        claim: What the documents say to that.
        source: Where.
        baseline: The arm that others are held against.
        metric: What decides, as `test_accuracy`.
        axes: What its arms differ in.
        arms: Each arm's place on the axes.
        command: The words that were typed.
        runs: By their folders' names.
    """

    study: str | None = None
    question: str | None = None
    claim: str | None = None
    source: str = ""
    baseline: str | None = None
    metric: str | None = None
    axes: Sequence[str] = ()
    arms: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    command: Sequence[str] = ()
    runs: Mapping[str, Planned] = field(default_factory=dict[str, Planned])


class Confusion(NamedTuple):
    """The best weights' answers: a row of counts for each true class."""

    classes: list[str]
    counts: list[list[int]]


@dataclass(frozen=True)
class Run:
    """What one run's folder says.

    Args:
        folder: Where it is.
        state: One of `words.STATES`, or a state that an Étude to come will write.
        summary: `summary.json`, empty before the run has begun.
        plan: Of the study that holds its folder.
        columns: `metrics.jsonl` by key, NaN where an epoch has no number.
    """

    folder: Path
    state: str
    summary: Values = field(default_factory=dict[str, Any])
    plan: Plan = field(default_factory=Plan)
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])

    @property
    def name(self) -> str:
        """The experiment's or the study's name."""
        study = self.plan.study if self.folder.name in self.plan.runs else None
        return str(study or self.summary.get("name") or self.folder.parent.name)

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.summary.get("seed", self._planned.seed))

    @property
    def label(self) -> str | None:
        """Its arm, as its study calls it."""
        return self._planned.arm

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
    def confusion(self) -> Confusion | None:
        """The best weights' answers; None where they were not kept."""
        found = _read(self.folder / CONFUSION)
        return Confusion(list(map(str, found["classes"])), found["counts"]) if found else None

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
    def _planned(self) -> Planned:
        return self.plan.runs.get(self.folder.name, Planned())


def read(folders: Iterable[Path]) -> list[Run]:
    """Read every run in or below some folders, those that a study has only planned included.

    Raises:
        UserError: A folder does not exist, or there is no run in any of them.
    """
    folders = list(folders)
    for folder in folders:
        _check_folder(folder)
    found = {path.resolve(): path for folder in folders for path in _below(folder)}
    plans: dict[Path, Plan] = {}
    runs = [read_run(path, plans) for path in found.values()]
    for parent, plan in plans.items():
        whole = any(parent.resolve().is_relative_to(folder.resolve()) for folder in folders)
        missing = (parent / name for name in plan.runs if whole)
        runs += [Run(path, "not started", plan=plan) for path in missing if not path.exists()]
    if not runs:
        given = ", ".join(map(str, folders))
        raise UserError(f"there is no run below {given}: no folder with a {SUMMARY}")
    return sorted(runs, key=lambda run: (run.name, _place(run), run.folder.name))


def read_run(folder: Path, plans: dict[Path, Plan] | None = None) -> Run:
    """Read one run's folder; `plans` keeps the plans of the folders above, read once each."""
    plans = {} if plans is None else plans
    if folder.parent not in plans:
        plans[folder.parent] = _plan(folder.parent)
    summary = summary_now(folder) or {}
    return Run(folder, _state(summary), summary, plans[folder.parent], _columns(folder))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        beside = [path.name for path in folder.absolute().parent.glob("*/")]
        near = get_close_matches(folder.name, beside, n=1)
        hint = f"did you mean {folder.parent / near[0]}?" if near else "give one that holds runs"
        raise UserError(f"{folder} is no folder; {hint}")


def _plan(folder: Path) -> Plan:
    found = read_plan(folder) or {}
    known: dict[str, Any] = {f.name: found[f.name] for f in fields(Plan) if f.name in found}
    runs: dict[str, dict[str, Any]] = found.get("runs", {})
    known["runs"] = {
        name: Planned(run.get("arm"), run.get("seed", 0)) for name, run in runs.items()
    }
    return Plan(**known)


def _below(folder: Path) -> Iterator[Path]:
    """Find the folders of runs, and of studies none of whose runs has begun."""
    for path, inner, files in os.walk(folder):
        if SUMMARY in files or ".replaced-" in Path(path).name:
            inner.clear()
        inner.sort()
        if SUMMARY in files and ".replaced-" not in Path(path).name:
            yield Path(path)
        elif PLAN in files:
            yield from (Path(path, n) for n in _plan(Path(path)).runs if Path(path, n).is_dir())


def _place(run: Run) -> int:
    """Order runs as their study planned them."""
    planned = list(run.plan.arms)
    return planned.index(run.label) if run.label in planned else len(planned)


def _state(summary: Values) -> str:
    state = str(summary.get("state", "not started"))
    if state == "failed" and str(summary.get("error", "")).startswith("Diverged"):
        return "diverged"
    return "interrupted" if state == "cut off" else state


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
