"""Whether a folder holds the run that is asked for, and which of its kin stand beside it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from etude.base.errors import UserError
from etude.base.identity import Identity, short_target
from etude.runs.names import COMPOSED, ENVIRONMENT, LAST, LOCK, OUTPUT_LOG, RUN_LOG
from etude.runs.records import read_summary

_SIGNS = {Path(COMPOSED).parts[0], RUN_LOG, OUTPUT_LOG, ENVIRONMENT, LAST, LOCK}
_SHOWN = 4  # differences in a message
_NO_LONGER = ("dataset.name", "init.weights")  # earlier runs had them in the place of contents
_CONTENTS = (".content", ".code", "init.weights")


def check_identity(folder: Path, identity: Identity) -> None:
    """Hold a folder against the run that is to work in it.

    Raises:
        UserError: Another run is in it, and what differs is named; or files that are no run's.
    """
    summary = read_summary(folder)
    if summary is None:
        _check_own(folder)
        return
    apart = list(differences(summary, identity))
    if summary.get("fingerprint") == identity.fingerprint and not apart:
        return
    apart = apart or ["an earlier version of Étude"]
    more = f" and {len(apart) - _SHOWN} more" if len(apart) > _SHOWN else ""
    raise UserError(
        f"{folder} holds another run, with {', '.join(apart[:_SHOWN])}{more}; give this one "
        "another folder, or set that run aside with fresh=true"
    )


def _check_own(folder: Path) -> None:
    """Refuse a folder with files but without a sign that a run of Étude's has begun there."""
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if found and not found & _SIGNS:
        raise UserError(
            f"{folder} holds files that are no run's ({', '.join(sorted(found)[:_SHOWN])}); give "
            "the run a folder of its own"
        )


def kin(folder: Path, identity: Identity) -> list[str]:
    """Tell of runs with this configuration that are nevertheless others.

    Args:
        folder: The run's own, not there yet.
        identity: The run's.

    Returns:
        A line for each: what it was made with that is different now.
    """
    lines: list[str] = []
    for other in sorted(folder.parent.glob(f"{folder.name.rpartition('-')[0]}-????????")):
        summary = read_summary(other)
        if summary is None:
            continue
        apart = list(differences(summary, identity))
        if "contents" not in summary and not apart:
            lines.append(
                f"{other} was made before runs were known by their data and code; it is left as "
                "it is, and trained anew"
            )
        elif "contents" in summary and apart and all(line.startswith("other ") for line in apart):
            lines.append(f"{other} was made with {', '.join(apart)}; this is another run")
    return lines


def differences(summary: Mapping[str, Any], identity: Identity) -> Iterator[str]:
    """Yield what makes a run, by its identity, another than the one that a summary tells of."""
    then = {k: short_target(k, v) for k, v in summary.get("hyperparameters", {}).items()}
    now = json.loads(json.dumps(identity.decisive))
    if "contents" not in summary:
        then, now = (
            {k: v for k, v in values.items() if not k.endswith((*_NO_LONGER, *_CONTENTS))}
            for values in (then, now)
        )
    for key in {**now, **then}:
        if now.get(key) == then.get(key):
            continue
        if key.endswith(_CONTENTS):
            yield f"other {_words(key)}"
        else:
            yield f"{key}={then.get(key)} instead of {now.get(key)}"


def _words(key: str) -> str:
    group, _, what = key.rpartition(".")
    words = {"content": "images or labels", "weights": "weights to begin with"}
    return words.get(what, f"code of the {group}")
