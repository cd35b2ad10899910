"""What runs were made with, in words and as files: a lock of versions, and a difference of code."""

import re
from collections.abc import Iterable

from etude.report.read import RunFolder
from etude.runs.environment import Environment, changed_within

# A folder's word is taken for no option of pip's and no other folder's file.
_NAME, _VERSION = re.compile(r"[A-Za-z0-9][\w.-]*"), re.compile(r"[A-Za-z0-9][\w.+!-]*")
_PATCH = re.compile(r"code-[0-9a-f]{8}\.patch")
_APART = {"python", "etude"}  # which no lock of packages brings


def lock(made_with: Environment) -> str:
    """Write the versions of packages as pip takes them, without a place to get them from."""
    versions = made_with.get("versions", {})
    packages = {**made_with.get("installed", {}), **versions}
    lines = [
        f"{name}=={version}"
        for name, version in sorted(packages.items())
        if name not in _APART and _NAME.fullmatch(name) and _VERSION.fullmatch(version)
    ]
    python = versions.get("python", "")
    head = [f"# Python {python}"] if _VERSION.fullmatch(python) else []
    return "\n".join([*head, *lines]) + "\n"


def code(made_with: Environment, patch: str | None) -> str:
    """Name the version of Étude, and its code.

    Args:
        made_with: A run's.
        patch: The file that has the difference of the code to its commit, where it is kept.
    """
    name = f"Étude {made_with.get('versions', {}).get('etude', 'of an unknown version')}"
    git, digest = made_with.get("git"), made_with.get("code", "unknown")
    if not git:
        return f"{name}, not from a checkout; its code has digest {digest}"
    at = f"{name} at commit {git['commit']}"
    if not git["dirty"]:
        return at
    if patch is not None:
        return f"{at}, changed as {patch} says"
    same = git.get("difference") == ""
    told = "changed, but neither code nor configuration" if same else "changed; how was not kept"
    return f"{at}, {told}"


def difference(run: RunFolder) -> str | None:
    """Name the file of a run's difference of the code to its commit, where it is kept.

    The name has a digest of it: files of one name are the same in all runs' folders.
    """
    name = (run.environment.get("git") or {}).get("difference", "")
    return name if _PATCH.fullmatch(name) and (run.folder / name).is_file() else None


def went_on(runs: Iterable[RunFolder]) -> int:
    """Count the runs that went on with other versions or other code than they began with."""
    return sum(changed_within(run.environment) for run in runs)
