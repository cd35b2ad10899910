"""A finished run that is the beginning of a longer one: the same, in fewer epochs."""

import re
from collections.abc import Iterator
from pathlib import Path

from etude.base.identity import Identity
from etude.runs.identity import differences
from etude.runs.names import REPLACED
from etude.runs.records import read_rows, read_summary
from etude.runs.state import RunState

_EPOCHS = re.compile(r"_epochs=\d+")
_TELLS = 60  # of a name: a long one is cut, and where depends on what is in it


def shorter(folder: Path, identity: Identity) -> tuple[Path, str] | None:
    """Find the longest finished run beside a folder that its run differs from in more epochs alone.

    Args:
        folder: The longer run's, where Étude puts it.
        identity: The longer run's.

    Returns:
        Its folder and its fingerprint; None if there is none.
    """
    found = max(_candidates(folder, identity), default=None)
    return None if found is None else found[1:]


def _candidates(folder: Path, identity: Identity) -> Iterator[tuple[int, Path, str]]:
    """Yield such runs, each with its epochs."""
    wanted = int(identity.decisive.get("train.epochs", 0))
    own = _without_epochs(folder)
    for other in folder.parent.iterdir() if folder.parent.is_dir() else ():
        if other == folder or REPLACED in other.name or _without_epochs(other) != own:
            continue
        summary = read_summary(other)
        if summary is None or summary["state"] != RunState.FINISHED or "contents" not in summary:
            continue
        epochs = summary.get("hyperparameters", {}).get("train.epochs")
        apart = [f"train.epochs={epochs} instead of {wanted}"]
        if list(differences(summary, identity)) == apart and epochs < wanted and read_rows(other):
            yield epochs, other, summary["fingerprint"]


def _without_epochs(folder: Path) -> tuple[str, str]:
    """Give what a folder's name says besides, its fingerprint left out: what it is, and its seed.

    It spares reading the summaries of a large sweep for each of its runs.
    """
    label, _, seed = f"_{folder.name.rpartition('-')[0]}".rpartition("_seed=")
    return _EPOCHS.sub("", label)[:_TELLS], seed
