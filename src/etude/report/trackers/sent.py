"""What is sent of a run, whoever takes it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.base.text import tag
from etude.report.arms import Arm, group
from etude.report.read import RunFolder
from etude.runs.names import METRICS


@dataclass(frozen=True)
class SentRun:
    """A finished run, as a tracker takes it.

    Args:
        project: The experiment's or the study's name, or the one that was asked for.
        group: Its arm: what it shares with those that differ only in their seed.
        name: Its arm and its seed.
        fingerprint: By which it is found again; among the facts as well.
        settings: The hyperparameters, by dotted key.
        facts: What else it says of itself, in words: arm, device, precision, versions.
        epochs: Each epoch's number, and its metrics by TensorBoard's tags; finite ones alone.
        results: Its end and its best epoch, as `final/test_accuracy`; `final/seconds`.
        pictures: PNG files, by what they are called.
        seconds: It took, training.
        ended: Seconds since 1970.
    """

    project: str
    group: str
    name: str
    fingerprint: str
    settings: Mapping[str, Any]
    facts: Mapping[str, str]
    epochs: Sequence[tuple[int, Mapping[str, float]]]
    results: Mapping[str, float]
    pictures: Mapping[str, Path]
    seconds: float
    ended: float

    @property
    def config(self) -> dict[str, Any]:
        """All that is said of it, for a tracker that has one place for it."""
        return {**self.settings, **self.facts}

    @property
    def last(self) -> tuple[int, Mapping[str, float]]:
        """Its last epoch."""
        return self.epochs[-1] if self.epochs else (0, {})


def to_send(runs: Sequence[RunFolder], project: str | None = None) -> list[SentRun]:
    """Prepare the runs among some that are finished and whole; all tell their names and groups.

    Args:
        runs: As they were read.
        project: What all belong to; None: each to what its experiment or study is called.
    """
    projects: dict[str, list[RunFolder]] = {}
    for run in runs:
        projects.setdefault(project or run.name, []).append(run)
    return [
        _sent(run, name, label)
        for name, own in projects.items()
        for label, arm in _labelled(group(own))
        for run in arm.runs
        if can_be_sent(run)
    ]


def can_be_sent(run: RunFolder) -> bool:
    """Say whether a run is finished, and its files are whole and its own: it is sent once."""
    return run.state.has_result and run.whole and "fingerprint" in run.summary


def _labelled(arms: Sequence[Arm]) -> list[tuple[str, Arm]]:
    """Name arms as their study does, or as their folders are called.

    By its folder, an arm that is sent again beside others has the name that it had.
    """
    names = [_folder_name(arm) for arm in arms]
    count = Counter(names)
    return [
        (name if name and count[name] == 1 else arm.label, arm)
        for name, arm in zip(names, arms, strict=True)
    ]


def _folder_name(arm: Arm) -> str:
    first = arm.runs[0]
    return "" if first.label else first.folder.name.rpartition("_seed=")[0]


def _sent(run: RunFolder, project: str, label: str) -> SentRun:
    metrics = run.folder / METRICS
    return SentRun(
        project=project,
        group=label,
        name=f"{label} seed={run.seed}",
        fingerprint=str(run.summary["fingerprint"]),
        settings=run.hyperparameters,
        facts=_facts(run, label),
        epochs=_epochs(run),
        results=_results(run),
        pictures={f"pictures/{path.stem}": path for path in sorted(run.folder.glob("*.png"))},
        seconds=run.value("seconds") or 0.0,
        ended=metrics.stat().st_mtime if metrics.exists() else 0.0,
    )


def _facts(run: RunFolder, label: str) -> dict[str, str]:
    versions = run.environment.get("versions", {})
    git = run.environment.get("git")
    found = {
        "fingerprint": run.summary["fingerprint"],
        "arm": label,
        "device": run.summary.get("device"),
        "precision": run.summary.get("precision"),
        "etude": versions.get("etude"),
        "torch": versions.get("torch"),
        "commit": git and git["commit"],
    }
    return {key: str(value) for key, value in found.items() if value}


def _epochs(run: RunFolder) -> list[tuple[int, dict[str, float]]]:
    columns = {key: v for key, v in run.columns.items() if key not in {"epoch", "step"}}
    return [
        (int(epoch), {tag(k): v[i] for k, v in columns.items() if math.isfinite(v[i])})
        for i, epoch in enumerate(run.columns.get("epoch", ()))
    ]


def _results(run: RunFolder) -> dict[str, float]:
    found = {
        f"{place}/{key}": run.value(f"{place}.{key}")
        for place in ("final", "best")
        for key in run.summary[place]
    }
    found["final/seconds"] = run.value("seconds")
    return {name: v for name, v in found.items() if v is not None and math.isfinite(v)}
