"""Choosing among runs by words: `optimizer=sgd test_accuracy>0.98 since=7d`."""

from __future__ import annotations

import datetime
import operator
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from etude.base.errors import UserError
from etude.base.nearest import unknown
from etude.runs.composed import by_key, words_of
from etude.runs.find import find_runs
from etude.runs.names import SUMMARY
from etude.runs.state import RunState
from etude.runs.status import current_summary

_CONDITION = re.compile(r"([\w.]+)(!=|>=|<=|=|>|<)(.+)", re.DOTALL)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_TIMES = ("since", "before")
_FIRST = ("", "final.", "best.")  # where a metric's name alone is sought, in this order


class FoundRun(NamedTuple):
    """A run's folder, and what it says of itself by dotted key.

    Attributes:
        folder: The run's.
        values: `name`, `state`, `seed`, `seconds`, `changed` (seconds since 1970), `final.<metric>`
            and `best.<metric>`, and every setting that can change a result.
        words: What was typed for a group or a key: `optimizer` is `sgd`.
    """

    folder: Path
    values: Mapping[str, Any]
    words: Mapping[str, str]

    def value(self, name: str) -> Any:
        """Give what a name stands for, by its end where this is enough; None of nothing."""
        for place in _FIRST:
            if f"{place}{name}" in self.values:
                return self.values[f"{place}{name}"]
        known = [key for key in self.values if key.endswith(f".{name}")]
        return self.values[known[0]] if len(known) == 1 else self.words.get(name)

    def chosen(self, group: str) -> set[str]:
        """Give what a group's choice is called: as typed, and its class's name."""
        target = self.values.get(f"{group}._target_")
        found = {self.words.get(group), target and str(target).rpartition(".")[2]}
        return {str(name) for name in found if name}

    def plain(self) -> dict[str, object]:
        """Give it as JSON has it."""
        return {"folder": str(self.folder), **self.values}


def all_runs(root: Path) -> list[FoundRun]:
    """Read every run in and below a folder.

    Raises:
        UserError: There is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give one that has runs in or below it")
    return [_found(folder) for folder in find_runs(root)]


def choose(
    runs: Iterable[FoundRun], words: Sequence[str], now: float | None = None
) -> list[FoundRun]:
    """Keep the runs for which every word holds.

    Args:
        runs: All.
        words: `key=value` (which may have * in it), `!=`, `<`, `<=`, `>`, `>=`; `since=7d` and
            `before=2026-01-31`; any other word is sought in the folder's path.
        now: Seconds since 1970; None asks the clock.

    Raises:
        UserError: No run knows a key, or a time cannot be read.
    """
    runs = list(runs)
    for word in words:
        holds = _condition(word, runs, time.time() if now is None else now)
        runs = [run for run in runs if holds(run)]
    return runs


def ordered(runs: Sequence[FoundRun], key: str) -> list[FoundRun]:
    """Sort by a key, the largest first with a minus before it; those without it come last.

    Raises:
        UserError: No run knows the key.
    """
    name = key.removeprefix("-")
    _check_known(name, runs)
    have = [run for run in runs if run.value(name) is not None]
    lack = [run for run in runs if run.value(name) is None]
    numbers = all(_number(run.value(name)) is not None for run in have)

    def by(run: FoundRun) -> Any:
        return _number(run.value(name)) if numbers else str(run.value(name))

    return sorted(have, key=by, reverse=key.startswith("-")) + lack


def _found(folder: Path) -> FoundRun:
    summary: Mapping[str, Any] = current_summary(folder) or {}
    results = {
        f"{which}.{key}": value
        for which in ("final", "best")
        for key, value in summary.get(which, {}).items()
    }
    file = folder / SUMMARY
    values = {
        "name": summary.get("name", folder.parent.name),
        "state": str(summary.get("state", RunState.NOT_STARTED)),
        "seed": summary.get("seed"),
        "seconds": summary.get("seconds"),
        "changed": file.stat().st_mtime if file.exists() else None,
        **results,
        **{k: v for k, v in summary.get("hyperparameters", {}).items() if k != "seed"},
    }
    return FoundRun(folder, values, by_key(words_of(folder)))


def _condition(word: str, runs: Sequence[FoundRun], now: float) -> Callable[[FoundRun], bool]:
    match = _CONDITION.fullmatch(word)
    if match is None:
        return lambda run: word.lower() in str(run.folder).lower()
    key, sign, wanted = match.groups()
    if key in _TIMES and sign == "=":
        limit = _moment(word, wanted, now)
        later = key == "since"
        return lambda run: (
            run.values["changed"] is not None and ((run.values["changed"] >= limit) is later)
        )
    _check_known(key, runs)
    if sign in _ORDER:
        return _compared(word, key, sign, wanted)
    return lambda run: _is(run, key, wanted) is (sign == "=")


def _compared(word: str, key: str, sign: str, wanted: str) -> Callable[[FoundRun], bool]:
    limit = _number(wanted)
    if limit is None:
        raise UserError(f"{word}: {wanted} is no number")

    def holds(run: FoundRun) -> bool:
        value = _number(run.value(key))
        return value is not None and _ORDER[sign](value, limit)

    return holds


def _is(run: FoundRun, key: str, wanted: str) -> bool:
    """Say whether a key has a value, or a group that choice, whatever its capitals."""
    value, number = run.value(key), _number(wanted)
    if number is not None and _number(value) == number:
        return True
    if isinstance(value, list):
        return _list_like(value, wanted)
    said = {"null" if value is None else str(value), *run.chosen(key)}
    return any(_like(text, wanted) for text in said) or (
        bool(run.chosen(key)) and any(wanted.lower() in name.lower() for name in run.chosen(key))
    )


def _list_like(value: Sequence[Any], wanted: str) -> bool:
    """Compare a list as it is typed, `[0.5,a]`: there, brackets are no pattern."""
    parts = wanted.removeprefix("[").removesuffix("]").split(",")
    found = [part.strip().strip("'\"") for part in parts if part.strip()]
    return len(found) == len(value) and all(
        _number(one) == _number(other) if _number(one) is not None else _like(str(one), other)
        for one, other in zip(value, found, strict=True)
    )


def _like(text: str, wanted: str) -> bool:
    return fnmatchcase(text.lower(), wanted.lower())


def _check_known(key: str, runs: Sequence[FoundRun]) -> None:
    """Refuse a key that no run has."""
    if not runs or any(run.value(key) is not None or run.chosen(key) for run in runs):
        return
    names = {name for run in runs for name in run.values}
    if not any(name == key or name.endswith(f".{key}") for name in names):
        raise UserError(f"{key}: {unknown(key, names)}".replace("see etude --help", "see --json"))


def _moment(word: str, text: str, now: float) -> float:
    """Read `7d`, `12h`, `30m`, `2w`, or a date."""
    if (match := re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)) is not None:
        return now - float(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise UserError(f"{word}: write 30m, 12h, 7d, 2w, or a date as 2026-01-31") from None


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
