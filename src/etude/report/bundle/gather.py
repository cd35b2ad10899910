"""The runs of a bundle: where each stands in it, and the files that tell what made it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from etude.report.bundle.software import difference, lock
from etude.report.read import RunFolder
from etude.report.results import Results
from etude.runs.names import (
    COMPOSED,
    CONFIG,
    CONFUSION,
    ENVIRONMENT,
    HYDRA,
    LAYERS,
    METRICS,
    OVERRIDES,
    STUDY,
    SUMMARY,
)
from etude.runs.state import RunState

RUNS = "runs"  # in a bundle, the copies' folder
# Of a run's files, what says how it was made and what it came to; weights and logs are left out.
_KEPT = (SUMMARY, CONFIG, METRICS, ENVIRONMENT, CONFUSION, LAYERS, COMPOSED, HYDRA, OVERRIDES)


class BundledRun(NamedTuple):
    """A run in a bundle.

    Attributes:
        run: What its folder says.
        arm: Its arm's name.
        place: Of its copy, in the bundle.
        lock: The file of the versions that it was made with.
        patch: The file of the difference of its code to the commit; None where none is kept.
    """

    run: RunFolder
    arm: str
    place: str
    lock: str
    patch: str | None


@dataclass(frozen=True)
class Gathered:
    """All runs of a report that have begun, and what their copies are made of.

    Attributes:
        runs: In the order of the report.
        locks: The locks, by their names in the bundle.
        copies: What is copied, by its path in the bundle: the runs' files, differences of code.
    """

    runs: tuple[BundledRun, ...]
    locks: Mapping[str, str]
    copies: Mapping[str, Path]


def gather(results: Results) -> Gathered:
    """Find the runs of a report, and name what goes into its bundle."""
    begun = [
        (row.label, run)
        for row in results.rows
        for run in row.arm.runs
        if run.state is not RunState.NOT_STARTED
    ]
    places = _places(run.folder for _, run in begun)
    made_with = {run.folder: (lock(run.environment), difference(run)) for _, run in begun}
    locks = _named((text for text, _ in made_with.values()), "requirements", ".txt")
    kept = {name: folder / name for folder, (_, name) in made_with.items() if name is not None}
    patches = _named(kept, "code", ".patch")
    runs = tuple(
        BundledRun(run, arm, places[run.folder], locks[text], patches.get(name or ""))
        for arm, run in begun
        for text, name in (made_with[run.folder],)
    )
    copies = dict(_copies(places)) | {name: kept[own] for own, name in patches.items()}
    return Gathered(runs, {name: text for text, name in locks.items()}, copies)


def _places(folders: Iterable[Path]) -> dict[Path, str]:
    """Give each run's folder one in the bundle, in one for each folder that holds runs."""
    parents: dict[Path, str] = {}
    places: dict[Path, str] = {}
    for folder in folders:
        whole = folder.absolute()
        if whole.parent not in parents:
            name = whole.parent.name or RUNS
            twice = sum(parent.name == whole.parent.name for parent in parents)
            parents[whole.parent] = f"{name}_{twice + 1}" if twice else name
        places[folder] = f"{RUNS}/{parents[whole.parent]}/{whole.name}"
    return places


def _named(texts: Iterable[str], stem: str, end: str) -> dict[str, str]:
    """Name files by what tells them apart: with a number, where there are several."""
    found = list(dict.fromkeys(texts))
    if len(found) == 1:
        return {found[0]: f"{stem}{end}"}
    return {text: f"{stem}_{number}{end}" for number, text in enumerate(found, 1)}


def _copies(places: Mapping[Path, str]) -> Iterable[tuple[str, Path]]:
    for folder, place in places.items():
        for name in _KEPT:
            if (folder / name).is_file():
                yield f"{place}/{name}", folder / name
        study = folder.parent / STUDY
        if study.is_file():
            yield f"{place.rpartition('/')[0]}/{STUDY}", study
