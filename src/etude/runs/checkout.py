"""The checkout that Étude runs from: its commit, and what was changed since."""

import os
import subprocess
from pathlib import Path
from typing import NotRequired, TypedDict

import etude

_DECISIVE = ("src", "conf")  # of a checkout, what a run is made of
_LARGEST = 2**20  # characters of a difference that is kept


class Git(TypedDict):
    """The commit of a checkout, and whether its code or configuration was changed since.

    `difference` names the file beside that has the changes; it is missing where nobody looked, or
    where it was too large, and empty in folders of earlier versions, which looked at other files.
    """

    commit: str
    dirty: bool
    difference: NotRequired[str]


def git() -> Git | None:
    """Give the commit of the checkout that Étude runs from; None for an installed wheel."""
    if not (_top() / ".git").exists():
        return None
    try:
        commit = _output("rev-parse", "HEAD").strip()
        changed = _output("status", "--porcelain", "--untracked-files=all", "--", *_DECISIVE)
        return {"commit": commit, "dirty": bool(changed.strip())}
    except (OSError, subprocess.SubprocessError):
        return None


def difference() -> str | None:
    """Give the checkout's code and configuration against its commit, as `git apply` takes it.

    Files that git does not know yet are in it, those that it is told to ignore are not.

    Returns:
        None where it cannot be told, or is too large to be kept with every run.
    """
    try:
        changed = _output("diff", "HEAD", *_PLAIN, "--", *_DECISIVE)
        new = _output("ls-files", "--others", "--exclude-standard", "-z", "--", *_DECISIVE)
        names = [name for name in new.split("\0") if name]
        added = (_output("diff", "--no-index", *_PLAIN, os.devnull, name, ok=1) for name in names)
        text = "".join([changed, *added])
    except (OSError, subprocess.SubprocessError):
        return None
    return text if len(text) <= _LARGEST else None


_PLAIN = (
    "--binary",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
)  # whatever a user's git is told


def _top() -> Path:
    return Path(etude.__file__).parents[2]


def _output(*arguments: str, ok: int = 0) -> str:
    """Give what git says; `ok` is an exit code that is no failure beside 0."""
    done = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=_top(), check=False, capture_output=True, timeout=10,
        encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip
    if done.returncode not in {0, ok}:
        done.check_returncode()
    return done.stdout
