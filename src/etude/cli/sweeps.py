"""Sweeps beyond the product of all with all: keys that change together, and sweeps after another.

`zip(optimizer.lr=0.1,0.01; train.batch_size=128,32)` takes the first values together, then the
second ones; a word `+` ends one sweep and begins the next. Both are words of a command with -m.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from omegaconf import OmegaConf

from etude.base.errors import UserError
from etude.cli.compose import Composer
from etude.cli.hydra_door import Loader
from etude.cli.job import PlannedJobs
from etude.cli.words import parse, product

_ZIP, _NEXT = "zip(", "+"
_PAIRS = {"(": ")", "[": "]", "{": "}"}
Levels = list[list[str]]  # what one word stands for: of each of its values the words


class Sweeps(NamedTuple):
    """A command's sweeps, and what goes to Hydra."""

    hydra: list[str]
    sweeps: list[list[str]]


def is_written_so(words: Sequence[str]) -> bool:
    """Say whether a command has a `zip(…)` or a `+`."""
    return any(word == _NEXT or word.startswith(_ZIP) for word in words)


def refuse_without_sweep(words: Sequence[str]) -> None:
    """Refuse words of a sweep where one run is meant.

    Raises:
        UserError: There is one.
    """
    found = next((word for word in words if word == _NEXT or word.startswith(_ZIP)), None)
    if found is not None:
        raise UserError(f"{found} is for sweeps: add -m")


def plan(composer: Composer, words: Sequence[str]) -> PlannedJobs:
    """Compose every job of sweeps that follow one another; one that is named twice is made once.

    Raises:
        UserError: A sweep or a job's configuration is not valid.
        HydraException: A word is no override, or a job cannot be composed.
    """
    hydra, sweeps = split(composer.loader, words)
    everywhere = [word for word in sweeps[0] if all(word in own for own in sweeps)]
    plain = [word for word in everywhere if not word.startswith(_ZIP)]
    master = composer.master([*plain, *hydra])
    params = OmegaConf.select(master, "hydra.sweeper.params") or {}
    usual = [f"{key}={value}" for key, value in params.items()]
    jobs = [job for own in sweeps for job in expand(composer.loader, [*usual, *own])]
    planned = composer.several(master, [("", job) for job in jobs])
    planned.remarks.extend(line for own in sweeps for line in repeated(composer.loader, own))
    planned.remarks.extend(repeated(composer.loader, hydra))
    return planned


def split(loader: Loader, words: Sequence[str]) -> Sweeps:
    """Divide a command's words into its sweeps, Hydra's own words aside.

    Raises:
        UserError: A sweep has no word, or a `zip(…)` is not closed.
    """
    groups: list[list[str]] = [[]]
    for word in words:
        if word == _NEXT:
            groups.append([])
        else:
            groups[-1].append(word)
    if not all(groups):
        raise UserError("a + must stand between two sweeps, as in a=1,2 + a=3 b=4")
    overrides = {
        word: parse(loader, [word])[0].is_hydra_override()
        for own in groups
        for word in own
        if not word.startswith(_ZIP)
    }
    hydra = [word for word, its in overrides.items() if its]
    return Sweeps(hydra, [[w for w in own if not overrides.get(w)] for own in groups])


def expand(loader: Loader, words: Sequence[str]) -> list[list[str]]:
    """Give the words of each job of one sweep, in order: the last word changes fastest.

    Raises:
        UserError: Values that go together differ in number, or a key is given twice.
        HydraException: A word is no override.
    """
    levels: dict[tuple[str, ...], Levels] = {}
    for word in words:
        own = _zipped(loader, word) if word.startswith(_ZIP) else _single(loader, word)
        keys = tuple(w.partition("=")[0] for w in own[0])
        taken = {key for other in levels for key in other if other != keys or len(other) > 1}
        if twice := taken.intersection(keys):
            raise UserError(f"{word}: {min(twice)} is given twice; leave one of them out")
        levels.pop(keys, None)
        levels[keys] = own
    return [[w for part in job for w in part] for job in itertools.product(*levels.values())]


def repeated(loader: Loader, words: Sequence[str]) -> list[str]:
    """Say of each key that one sweep gives twice which of its words holds."""
    plain = [word for word in words if word != _NEXT and not word.startswith(_ZIP)]
    held: dict[str, str] = {}
    told: list[str] = []
    for word in parse(loader, plain):
        key, line = word.get_key_element(), str(word.input_line)
        if key in held and held[key] != line:
            told.append(f"{held[key]} does not hold: {line} comes after it")
        held[key] = line
    return told


def _single(loader: Loader, word: str) -> Levels:
    return product(loader, [word])


def _zipped(loader: Loader, word: str) -> Levels:
    if not word.endswith(")"):
        raise UserError(f"{word} is not closed: zip(a=1,2; b=3,4)")
    parts = [part for part in _parts(word[len(_ZIP) : -1]) if part]
    if len(parts) < 2:
        raise UserError(f"{word} must have two keys or more: zip(a=1,2; b=3,4)")
    columns = [_single(loader, part) for part in parts]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(
            f"{part.partition('=')[0]} has {len(column)}"
            for part, column in zip(parts, columns, strict=True)
        )
        raise UserError(f"{word}: values that go together must be as many of each key; {counts}")
    return [[w for one in row for w in one] for row in zip(*columns, strict=True)]


def _parts(text: str) -> Iterator[str]:
    """Divide at the semicolons that are in no quotes and no brackets."""
    part, closing = "", list[str]()
    for letter in text:
        if closing and letter == closing[-1]:
            closing.pop()
        elif letter in "'\"" and not (closing and closing[-1] in "'\""):
            closing.append(letter)
        elif letter in _PAIRS and not (closing and closing[-1] in "'\""):
            closing.append(_PAIRS[letter])
        if letter == ";" and not closing:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()
