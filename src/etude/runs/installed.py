"""The versions of all that is installed for Étude: what it requires, and what that requires."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Give the versions of packages and of all that they require, by name.

    What only an extra asks for is left out, and so is what is not there: no other machine's either.
    """
    found: dict[str, str] = {}
    left = [_normal(name) for name in packages]
    while left:
        name = left.pop()
        if not name or name in found:
            continue
        try:
            there = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = there.version
        left += [_normal(line) for line in there.requires or () if not _is_extra(line)]
    return dict(sorted(found.items()))


def _is_extra(line: str) -> bool:
    return "extra" in line.partition(";")[2]


def _normal(line: str) -> str:
    """Give the name that a line begins with, spelt as all spell it."""
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match.group() if match else "").lower()
