"""From folders to the runs in them: the only way into a report."""

import itertools
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict

from etude.base.errors import UserError
from etude.base.nearest import did_you_mean
from etude.runs.composed import by_key, words_of
from etude.runs.environment import Environment, read_environment
from etude.runs.find import find_runs
from etude.runs.names import CONFUSION, HYDRA, LISTING, STUDY, SUMMARY
from etude.runs.records import read_as, read_rows
from etude.runs.state import RunState
from etude.runs.status import current_summary, state_of
from etude.runs.study import PlannedRun, StudyPlan, read_plan

Values = Mapping[str, Any]
NO_PLAN: Final = StudyPlan(
    study="", question="", claim="", source="", baseline="", metric="", axes=[], arms={},
    command=[], runs={}, reach=None, margin=None, claims=[], tuned={}, looks=1,
)  # fmt: skip


class Confusion(NamedTuple):
    """The best weights' answers: a row of counts for each true class."""

    classes: list[str]
    counts: list[list[int]]


class _Confusion(TypedDict):
    classes: list[Any]
    counts: list[list[int]]


_NO_ARMS = {"seed", "name", "fresh"}  # words that make no arm


@dataclass(frozen=True)
class RunFolder:
    """What one run's folder says.

    Args:
        folder: Where it is.
        state: Where it stands.
        summary: `summary.json`, empty before the run has begun.
        plan: Of the study that holds its folder; `NO_PLAN` where none does.
        columns: `metrics.jsonl` by key, NaN where an epoch has no number.
    """

    folder: Path
    state: RunState
    summary: Values = field(default_factory=dict[str, object])
    plan: StudyPlan = field(default_factory=lambda: NO_PLAN)
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])

    @property
    def name(self) -> str:
        """The experiment's or the study's name."""
        study = "" if self._planned is None else self.plan["study"]
        return str(study or self.summary.get("name") or self.folder.parent.name)

    @property
    def seed(self) -> int:
        """Its seed."""
        planned = 0 if self._planned is None else self._planned["seed"]
        return int(self.summary.get("seed", planned))

    @property
    def label(self) -> str | None:
        """Its arm, as its study calls it."""
        return None if self._planned is None else self._planned["arm"]

    @property
    def awaited(self) -> bool:
        """Whether a result is still to come: by itself, or with its command given again."""
        return self.state.left and not self.state.went_wrong

    @property
    def hyperparameters(self) -> Values:
        """Everything that can change its result, by dotted key."""
        return self.summary.get("hyperparameters", {})

    @cached_property
    def words(self) -> dict[str, str]:
        """The words that it was composed from, by key, without the seed, the name and fresh."""
        words = by_key(words_of(self.folder))
        return {key: word.strip("'\"") for key, word in words.items() if key not in _NO_ARMS}

    @cached_property
    def choices(self) -> dict[str, str]:
        """What was chosen in each group, typed or not, as `etude` takes it."""
        try:
            text = (self.folder / HYDRA).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        # Not read as YAML, which takes a hundred times as long.
        _, _, block = text.partition("\n    choices:\n")
        lines = itertools.takewhile(lambda line: line[:6].isspace(), block.splitlines())
        pairs = (line.strip().partition(": ") for line in lines)
        return {key: choice.strip("'\"") for key, _, choice in pairs if "/" not in key}

    @cached_property
    def environment(self) -> Environment:
        """What it was made with."""
        return read_environment(self.folder)

    @cached_property
    def confusion(self) -> Confusion | None:
        """The best weights' answers; None where they were not kept."""
        found = read_as(self.folder / CONFUSION, _Confusion, whole=True)
        sides = (
            {len(found["classes"]), len(found["counts"]), *map(len, found["counts"])}
            if found
            else {}
        )
        if found is None or len(sides) != 1 or not sum(map(sum, found["counts"])):
            return None
        return Confusion(list(map(str, found["classes"])), found["counts"])

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return len(self.columns.get("epoch", ()))

    @property
    def whole(self) -> bool:
        """Whether every epoch that a finished run counts is in `metrics.jsonl`, and is the run's.

        A power cut may cost lines, and a file may be copied from another run.
        """
        if not self.state.has_result or "epochs" not in self.summary:
            return True
        done = list(self.columns.get("epoch", ()))
        last, final = self.columns.get("train_loss", (None,))[-1:], self.summary["final"]
        same = final.get("train_loss") is None or list(last) == [final["train_loss"]]
        return done == list(range(1, self.summary["epochs"] + 1)) and same

    def value(self, metric: str) -> float | None:
        """Give `final.<key>`, `best.<key>` or `<key>` of the summary; None if it is no number."""
        place, _, key = metric.rpartition(".")
        found = self.summary.get(place, {}).get(key) if place else self.summary.get(key)
        return float(found) if isinstance(found, int | float) else None

    @property
    def _planned(self) -> PlannedRun | None:
        return self.plan["runs"].get(self.folder.name)


def read(folders: Iterable[Path]) -> list[RunFolder]:
    """Read every run in or below some folders, those that a study has only planned included.

    Raises:
        UserError: A folder does not exist, or there is no run in any of them.
    """
    folders = list(folders)
    for folder in folders:
        _check_folder(folder)
    found = {path.resolve(): path for folder in folders for path in find_runs(folder)}
    plans: dict[Path, StudyPlan] = {}
    runs = [read_run(path, plans) for path in found.values()]
    for parent, plan in plans.items():
        whole = any(parent.resolve().is_relative_to(folder.resolve()) for folder in folders)
        missing = (parent / name for name in plan["runs"] if whole)
        runs += [
            RunFolder(path, RunState.NOT_STARTED, plan=plan)
            for path in missing
            if not path.exists()
        ]
    if not runs:
        given = ", ".join(map(str, folders))
        if any((folder / name).exists() for folder in folders for name in (STUDY, LISTING)):
            raise UserError(f"nothing has begun in {given} yet; etude-status shows what is planned")
        raise UserError(f"there is no run below {given}: no folder with a {SUMMARY}")
    return sorted(runs, key=lambda run: (run.name, _place(run), run.folder.name))


def read_run(folder: Path, plans: dict[Path, StudyPlan] | None = None) -> RunFolder:
    """Read one run's folder; `plans` keeps the plans of the folders above, read once each."""
    plans = {} if plans is None else plans
    if folder.parent not in plans:
        found = read_plan(folder.parent)
        # One of an earlier version may lack a key.
        plans[folder.parent] = NO_PLAN if found is None else {**NO_PLAN, **found}
    summary = current_summary(folder)
    plan, columns = plans[folder.parent], _columns(folder)
    return RunFolder(folder, state_of(summary), summary or {}, plan, columns)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        beside = [path.name for path in folder.absolute().parent.glob("*/")]
        near = get_close_matches(folder.name, beside, n=1)
        hint = did_you_mean([str(folder.parent / near[0])]) if near else "give one that holds runs"
        raise UserError(f"{folder} is no folder; {hint}")


def _place(run: RunFolder) -> int:
    """Order runs as their study planned them."""
    planned = list(run.plan["arms"])
    return planned.index(run.label) if run.label in planned else len(planned)


def _columns(folder: Path) -> "dict[str, array[float]]":
    """Turn rows into columns, which take a tenth of the memory."""
    rows = read_rows(folder)
    keys = {key for row in rows for key in row}
    nan = float("nan")
    return {
        key: array("d", (v if isinstance(v := row.get(key), int | float) else nan for row in rows))
        for key in sorted(keys)
    }
