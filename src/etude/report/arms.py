"""Which runs belong together: an arm is what they share who differ in nothing but their seed."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from etude.base.errors import UserError
from etude.base.nearest import did_you_mean
from etude.report.read import RunFolder
from etude.report.words import NONE, setting

# A run that begins with another's weights names that run's folder, which has a seed in its name.
_FOLDER_OF_A_SEED = re.compile(r"seed=\d+-[0-9a-f]{8}")

_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")  # of contents; eight digits tell them apart


@dataclass(frozen=True)
class Arm:
    """Runs that differ in nothing but their seed, or in nothing that was grouped by.

    Args:
        label: Its name, none of another arm.
        levels: Its place on each axis, by the axis's name.
        runs: Those that there are, and those that a study planned.
    """

    label: str
    levels: Mapping[str, str]
    runs: tuple[RunFolder, ...]

    @property
    def settings(self) -> dict[str, str]:
        """The hyperparameters that its runs share, in words."""
        return _settings(next((run for run in self.runs if run.hyperparameters), self.runs[0]))


def group(runs: Sequence[RunFolder], keys: Sequence[str] = ()) -> list[Arm]:
    """Divide runs into arms, in the order of the runs.

    Args:
        runs: All runs.
        keys: Hyperparameters and groups (or `name`, `device`, `precision`) that alone make the
            difference; none: all but the seed do.

    Raises:
        UserError: No run has one of the keys.
    """
    if keys:
        return _by_keys(runs, keys)
    groups: dict[str, list[RunFolder]] = {}
    shared = {_identity(run): run for run in runs if run.hyperparameters}
    for run in runs:
        groups.setdefault(_key(run, shared), []).append(run)
    return _named([part for found in groups.values() for part in _apart(found)])


def _apart(runs: Sequence[RunFolder]) -> list[tuple[RunFolder, ...]]:
    """Divide runs that only their seeds told apart, where some have one seed and differ in more.

    What runs begin with is known by the arm that made it, as each seed begins with its own. Two
    runs of one seed that begin with two others are no repetition of one another.
    """
    seeds = {run.seed for run in runs}
    if len(seeds) == len(runs):
        return [tuple(runs)]
    exact: dict[str, list[RunFolder]] = {}
    for run in runs:
        settings = {key: v for key, v in run.hyperparameters.items() if key != "seed"}
        exact.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    return [tuple(found) for found in exact.values()]


def where(runs: Sequence[RunFolder], conditions: Sequence[str]) -> list[RunFolder]:
    """Keep the runs that meet all conditions `key=value[,value]` or `key!=value[,value]`.

    Raises:
        UserError: A condition is not of that form, or no run is left.
    """
    for condition in conditions:
        match = re.fullmatch(r"([\w.]+)(!?=)(.*)", condition)
        if match is None:
            raise UserError(f"--where {condition} must be key=value, key=one,other or key!=value")
        key, sign, values = match.groups()
        _check_key(runs, key)
        wanted = {_comparable(value) for value in values.split(",")}
        there = {run.folder: _comparable(_attribute(run, key)) for run in runs}
        runs = [run for run in runs if (there[run.folder] in wanted) == (sign == "=")]
        if not runs:
            found = ", ".join(sorted(set(map(str, there.values()))))
            raise UserError(f"no run meets --where {condition}; in these runs {key} is {found}")
    return list(runs)


def varied(arms: Sequence[Arm]) -> list[str]:
    """Name the hyperparameters in which arms differ, in the order of the configuration."""
    known = [arm.settings for arm in arms if any(run.hyperparameters for run in arm.runs)]
    keys = list(dict.fromkeys(key for settings in known for key in settings))
    return [key for key in keys if len({settings.get(key, NONE) for settings in known}) > 1]


def axes(arms: Sequence[Arm]) -> list[str]:
    """Name the axes along which arms lie, those with one level left out."""
    return _differing([arm.levels for arm in arms])


def _by_keys(runs: Sequence[RunFolder], keys: Sequence[str]) -> list[Arm]:
    groups: dict[tuple[str, ...], list[RunFolder]] = {}
    for key in keys:
        _check_key(runs, key)
    for run in runs:
        groups.setdefault(tuple(_attribute(run, key) for key in keys), []).append(run)
    return [
        Arm(
            " ".join(f"{key.rpartition('.')[2]}={v}" for key, v in zip(keys, values, strict=True)),
            dict(zip(keys, values, strict=True)),
            tuple(found),
        )
        for values, found in groups.items()
    ]


def _key(run: RunFolder, shared: Mapping[str, RunFolder]) -> str:
    """Tell runs of different arms apart; one that has not begun goes by its study's word."""
    if run.hyperparameters:
        return _identity(run)
    same = (key for key, r in shared.items() if (r.name, r.label) == (run.name, run.label))
    return next(same, f"{run.name} {run.label}")


def _identity(run: RunFolder) -> str:
    return json.dumps([run.name, run.label, _settings(run)], sort_keys=True)


def _settings(run: RunFolder) -> dict[str, str]:
    return {key: _word(v) for key, v in run.hyperparameters.items() if key != "seed"}


def _word(value: Any) -> str:
    if isinstance(value, str):
        return _DIGEST.sub(r"\1", _FOLDER_OF_A_SEED.sub("seed=*", value))
    if isinstance(value, list):
        return f"[{', '.join(_word(item) for item in value)}]"  # pyright: ignore[reportUnknownVariableType]
    return setting(value)


def _named(groups: Sequence[tuple[RunFolder, ...]]) -> list[Arm]:
    """Name arms as their study does, or by the words that differ; and by more if need be."""
    words = _differing([found[0].words for found in groups])
    several = len({found[0].name for found in groups}) > 1
    arms: list[Arm] = []
    for found in groups:
        first = found[0]
        levels = _levels(first, words)
        label = first.label or " ".join(f"{_short(key)}={v}" for key, v in levels.items())
        label = label or "as configured"
        arms.append(Arm(f"{first.name}: {label}" if several else label, levels, found))
    if not any(found[0].label for found in groups):  # a study has its own order
        arms.sort(key=lambda arm: [_order(level) for level in arm.levels.values()])
    return _distinct(arms)


def _levels(run: RunFolder, words: Sequence[str]) -> dict[str, str]:
    planned = run.plan["arms"].get(run.label or "")
    if planned is not None:
        return dict(zip(run.plan["axes"], planned, strict=True))
    return {key: _level(run, key) for key in words}


def _level(run: RunFolder, key: str) -> str:
    if key in run.hyperparameters:
        return _word(run.hyperparameters[key])
    target = str(run.hyperparameters.get(f"{key}._target_", "default"))
    return run.words.get(key, target.rpartition(".")[2])


def _differing(words: Sequence[Mapping[str, str]]) -> list[str]:
    """Name the keys whose values differ; of keys that change together, the first."""
    found: dict[tuple[int, ...], str] = {}
    for key in dict.fromkeys(key for own in words for key in own):
        values = [own.get(key) for own in words]
        if len(set(values)) > 1:
            found.setdefault(tuple(values.index(value) for value in values), key)
    return list(found.values())


def _distinct(arms: Sequence[Arm]) -> list[Arm]:
    """Add to a name that several arms have what tells them apart."""
    named: list[Arm] = []
    for arm in arms:
        same = [other for other in arms if other.label == arm.label]
        differing = varied(same) if len(same) > 1 else []
        own = ", ".join(f"{_short(key)}={arm.settings.get(key, NONE)}" for key in differing)
        if len(same) > 1 and not differing:  # but in the seed of what they begin with
            own = ", ".join(_exactly(arm, same))
        named.append(Arm(f"{arm.label} ({own})", arm.levels, arm.runs) if own else arm)
    return named


def _exactly(arm: Arm, same: Sequence[Arm]) -> list[str]:
    """Write what tells an arm's first run from those of others, seeds in its values included."""
    all_of = [other.runs[0].hyperparameters for other in same]
    own = arm.runs[0].hyperparameters
    differing = [k for k in own if k != "seed" and any(o.get(k) != own[k] for o in all_of)]
    return [f"{_short(key)}={setting(own[key])}" for key in differing]


def _short(key: str) -> str:
    """Leave out the group of a key, where what is left says enough."""
    group, _, name = key.rpartition(".")
    return group if name == "_target_" else name


def _check_key(runs: Iterable[RunFolder], key: str) -> None:
    found = {key for run in runs for key in (*run.hyperparameters, *run.choices)}
    known = sorted(found | {*_OWN})
    if key not in known:
        near = [other for other in known if other.endswith(key) or other.startswith(key)]
        near = near or get_close_matches(key, known, n=1)
        hint = did_you_mean(near[:3]) if near else "runs.csv names all"
        raise UserError(f"no run has the hyperparameter {key}; {hint}")


_OWN = ("name", "state", "device", "precision", "arm", "seed")


def _attribute(run: RunFolder, key: str) -> str:
    if key == "state":
        return run.state
    if key == "arm":
        return run.label or ""
    if key in {"name", "device", "precision"}:
        return str(run.summary.get(key, NONE))
    if key in run.hyperparameters:
        return _word(run.hyperparameters[key])
    return run.choices.get(key, NONE)  # a group, as it was typed or as its experiment has it


def _order(level: str) -> tuple[int, float, str]:
    """Sort numbers by their value and before words."""
    try:
        return 0, float(level), ""
    except ValueError:
        return 1, 0.0, level


def _comparable(word: str) -> str:
    """Write numbers alike: 1e-3 and 0.001 are one value."""
    try:
        return repr(float(word))
    except ValueError:
        return word.strip()
