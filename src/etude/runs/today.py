"""What is different today from when a run was made, and the way back."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from etude.runs.checkout import Git
from etude.runs.environment import LIBRARIES, Environment, changed_within

_NOTHING = "–"


class Changed(NamedTuple):
    """One thing that is not as it was.

    Attributes:
        what: Its name.
        then: What it was when the run was made; – for what was not there, or is not known.
        now: What it is.
    """

    what: str
    then: str
    now: str


def changed(then: Environment, now: Environment) -> list[Changed]:
    """Compare what a run was made with, code, versions and machine, to what there is."""
    if not then:
        return [Changed("environment", "not recorded", _NOTHING)]
    pairs: list[tuple[str, Any, Any]] = [
        (name, then.get("versions", {}).get(name), now.get("versions", {}).get(name))
        for name in {**then.get("versions", {}), **now.get("versions", {})}
    ]
    pairs += [
        ("Étude's code", then.get("code"), now.get("code")),
        ("commit", _commit(then.get("git")), _commit(now.get("git"))),
        *((key, then.get(key), now.get(key)) for key in ("platform", "processor", "cores")),
    ]
    found = [Changed(what, _text(old), _text(new)) for what, old, new in pairs if old != new]
    return [*found, *_within(then)]


def way_back(then: Environment, found: Sequence[Changed]) -> list[str]:
    """Give commands that bring back the code and the libraries that a run was made with."""
    differs = {change.what for change in found}
    git = then.get("git")
    lines = [f"git checkout {shlex.quote(git['commit'])}"] if git and "commit" in differs else []
    pinned = [
        shlex.quote(f"{name}=={version}")
        for name, version in then.get("versions", {}).items()
        if name in differs.intersection(LIBRARIES)  # and no other that a folder may name
    ]
    return [*lines, *([f"pip install {' '.join(pinned)}"] if pinned else [])]


def _within(then: Environment) -> Iterator[Changed]:
    """Tell of a run that went on with other software than it began with."""
    if changed_within(then):
        yield Changed("software within the run", "changed when it went on", "one for all of it")


def _commit(git: Git | None) -> str | None:
    """Name a commit; an installed Étude has none."""
    return None if git is None else f"{git['commit'][:10]}{' (changed)' if git['dirty'] else ''}"


def _text(value: object) -> str:
    return _NOTHING if value is None else str(value)
