"""A run that lies in several folders counts once: seeds that are the same one show no spread."""

from collections.abc import Collection, Iterable

from etude.base.text import counted
from etude.report.read import RunFolder


def without_copies(runs: Iterable[RunFolder]) -> tuple[list[RunFolder], list[RunFolder]]:
    """Divide runs into those that count, in order, and other folders of the same ones.

    Of several the one counts that a study has planned, else one with a result, else the first.
    """
    found: dict[str, RunFolder] = {}
    runs = list(runs)
    for run in runs:
        kind = _kind(run)
        found[kind] = min(found.get(kind, run), run, key=_rank)
    counting = {id(run) for run in found.values()}
    return [r for r in runs if id(r) in counting], [r for r in runs if id(r) not in counting]


def told_of(copies: Collection[RunFolder]) -> str:
    """Say in a sentence which folders do not count."""
    where = ", ".join(str(run.folder) for run in copies)
    return (
        f"{counted(len(copies), 'folder')} of runs that are here twice: left out of all ({where})."
    )


def _kind(run: RunFolder) -> str:
    """Give the same text for folders of the same run."""
    fingerprint = run.summary.get("fingerprint")
    return repr((fingerprint, run.hyperparameters)) if fingerprint else str(run.folder.absolute())


def _rank(run: RunFolder) -> tuple[bool, bool]:
    return run.label is None, not run.state.has_result
