"""The ledger: for each experiment and study one committed record of what was measured.

A record is made from run folders, and runs are held against it: another seed, and another machine,
gives other numbers, but not by more than the seeds' spread lets expect.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NotRequired, TypedDict

from etude.base.errors import UserError
from etude.base.identity import mark_of
from etude.base.nearest import unknown
from etude.report.claims import Judged, conclusion, judge
from etude.report.references import DocumentFigure
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import variance
from etude.report.write import Report
from etude.runs.environment import Environment
from etude.runs.records import read_as, write_json
from etude.runs.state import RunState

SUFFIX = ".json"


class MadeWith(TypedDict):
    """The machine and the software; null where runs were made with several."""

    device: str | None
    processor: str | None
    precision: str | None
    commit: str | None
    versions: dict[str, str]


class RecordedArm(TypedDict):
    """One arm: each finished run's fingerprint and metric by its seed, and how long one takes.

    `mark` is a hash of all settings that its runs share.
    """

    mark: str
    fingerprints: dict[str, str]
    values: dict[str, float]
    mean: float
    deviation: float | None
    seconds: float | None
    images: int


class RecordedFigure(TypedDict):
    """A document's figure beside the mean of ours."""

    arm: str
    metric: str
    document: float | None
    rule: str
    ours: float | None
    agreeing: int
    judged: int
    source: str


class RecordedClaim(TypedDict):
    """A claim, its word, the difference at 90 %, and how many more seeds would decide."""

    claim: str
    word: str
    difference: float | None
    low: float | None
    high: float | None
    more: int | None


class Record(TypedDict):
    """What the ledger says of an experiment or a study; of arms that all diverged, their marks."""

    name: str
    command: list[str]
    metric: str
    scale: float
    made_with: MadeWith
    arms: dict[str, RecordedArm]
    diverged: NotRequired[dict[str, str]]
    figures: list[RecordedFigure]
    margin: float | None
    tuned: dict[str, str]
    claims: list[RecordedClaim]
    verdict: str | None


def record(report: Report) -> Record:
    """Make a record of a report about one experiment or study.

    Raises:
        UserError: The runs are of several, or none has a result.
    """
    results = report.results
    names = sorted({run.name for run in results.runs})
    done = [run for row in results.rows for run in finished(row.arm)]
    if len(names) != 1 or not done:
        raise UserError(
            f"a record is of one experiment or study that has results, not of {', '.join(names)}"
        )
    plan = results.runs[0].plan
    scales = {float(run.summary.get("scale", 1.0)) for run in done}
    if len(scales) > 1:
        raise UserError(f"runs at scale {', '.join(map(str, sorted(scales)))} make no one record")
    judged = judge(results)
    return {
        "name": names[0],
        "command": _command(done[0].environment, plan["command"]),
        "metric": results.metric,
        "scale": scales.pop(),
        "made_with": _made_with(results),
        "arms": {row.label: _arm(row) for row in results.rows if row.result is not None},
        "diverged": {row.label: settings_mark(row) for row in results.rows if all_diverged(row)},
        "figures": [_figure(figure) for figure in report.figures],
        "margin": plan["margin"],
        "tuned": dict(plan["tuned"]),
        "claims": [_claim(one) for one in judged],
        "verdict": conclusion(judged) if judged else _agreement(report.figures),
    }


def write_record(folder: Path, made: Record) -> Path:
    """Put a record into a ledger; one of that name and scale gives way.

    Raises:
        UserError: There is one at another scale.
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{made['name']}{SUFFIX}"
    earlier: Record | None = read_as(path, Record, whole=True)
    if earlier is not None and earlier["scale"] != made["scale"]:
        raise UserError(
            f"{path} is at scale={earlier['scale']:g}, and these runs are at {made['scale']:g}; "
            "remove it, or give another ledger"
        )
    write_json(path, made)
    return path


def read_records(folder: Path) -> dict[str, Record]:
    """Give a ledger's records by name.

    Raises:
        UserError: A file is no record.
    """
    found: dict[str, Record] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        made = _read(path)
        found[made["name"]] = made
    return found


def _read(path: Path) -> Record:
    made: Record | None = read_as(path, Record, whole=True)
    values = [] if made is None else [list(arm["values"].values()) for arm in made["arms"].values()]
    if made is None or not all(own and all(map(math.isfinite, own)) for own in values):
        raise UserError(f"{path} is no record; make it again with etude-check --record")
    return made


def find_record(folder: Path, name: str) -> Record | None:
    """Find the record of an experiment or study in a ledger; None if it has none.

    Raises:
        UserError: There is no such ledger, or the file is no record.
    """
    if not folder.is_dir():
        raise UserError(f"--ledger {folder} is no folder")
    path = folder / f"{name}{SUFFIX}"
    return _read(path) if path.exists() else None


def no_record(folder: Path, name: str) -> UserError:
    """Say that there is none, and which there are."""
    names = [path.stem for path in folder.glob(f"*{SUFFIX}")]
    return UserError(f"the ledger has no {name}: {unknown(name, names, 'record')}")


def settings_mark(row: ArmResults) -> str:
    """Give a hash of all settings that an arm's runs share."""
    return mark_of(row.arm.settings)


def all_diverged(row: ArmResults) -> bool:
    """Say whether an arm has runs that diverged, and none that finished."""
    return row.result is None and RunState.DIVERGED in row.states


def _arm(row: ArmResults) -> RecordedArm:
    runs = {str(run.seed): run for run in finished(row.arm)}
    values = {str(seed): value for seed, value in row.values.items() if str(seed) in runs}
    if not values:
        raise UserError(f"a record has one run for each seed, and “{row.label}” has several")
    images = min((run.summary.get("data", {}).get("test", 0) for run in runs.values()), default=0)
    return {
        "mark": settings_mark(row),
        "fingerprints": {seed: str(runs[seed].summary["fingerprint"]) for seed in values},
        "values": values,
        "mean": fmean(values.values()),
        "deviation": math.sqrt(variance(list(values.values()))) if len(values) > 1 else None,
        "seconds": row.median("seconds"),
        "images": images,
    }


def _figure(figure: DocumentFigure) -> RecordedFigure:
    return {
        "arm": figure.arm,
        "metric": figure.metric,
        "document": figure.document,
        "rule": figure.rule,
        "ours": fmean(figure.ours) if figure.ours else None,
        "agreeing": figure.agreeing,
        "judged": figure.judged,
        "source": figure.source,
    }


def _claim(one: Judged) -> RecordedClaim:
    return {
        "claim": one.claim.text,
        "word": one.word,
        "difference": None if one.found is None else one.found.mean,
        "low": one.interval and one.interval[0],
        "high": one.interval and one.interval[1],
        "more": one.more,
    }


def _agreement(figures: Sequence[DocumentFigure]) -> str | None:
    judged = [figure for figure in figures if figure.judged]
    if not judged:
        return None
    return "agrees" if all(f.agreeing == f.judged for f in judged) else "differs"


def _made_with(results: Results) -> MadeWith:
    done = [run for row in results.rows for run in finished(row.arm)]
    made = [run.environment for run in done]
    commits = {(one.get("git") or {}).get("commit") for one in made}
    versions = [one.get("versions", {}) for one in made]
    same = {key: value for key, value in versions[0].items()
            if all(other.get(key) == value for other in versions)}  # fmt: skip
    return {
        "device": _only({run.summary.get("device") for run in done}),
        "processor": _only({one.get("processor") for one in made}),
        "precision": _only({run.summary.get("precision") for run in done}),
        "commit": _only(commits),
        "versions": same,
    }


def _only(found: set[str | None]) -> str | None:
    return found.pop() if len(found) == 1 else None


def _command(environment: Environment, study: Sequence[str]) -> list[str]:
    """Give what was typed, without the folders of one machine."""
    typed = list(study) or ["etude", *environment.get("command", [])[1:]]
    return [re.sub(r"=(?:/[^/=]+)+/(?=[^/=]+$)", "=data/", word) for word in typed]
