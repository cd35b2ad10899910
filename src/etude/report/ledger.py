"""The ledger: for each experiment and study one committed record of what was measured.

A record is made from run folders, and runs are held against it: another seed, and another machine,
gives other numbers, but not by more than the seeds' spread lets expect.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypedDict

from etude.base.errors import UserError
from etude.base.identity import mark_of
from etude.base.nearest import unknown
from etude.report.claims import Judged, conclusion, judge
from etude.report.references import DocumentFigure
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import LEVEL, quantile, variance
from etude.report.write import Report
from etude.runs.environment import Environment
from etude.runs.records import read_as, write_json

SUFFIX = ".json"
_MANY = 1e6  # degrees of freedom where only the test split's size is known


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
    """What the ledger says of an experiment or a study."""

    name: str
    command: list[str]
    metric: str
    scale: float
    made_with: MadeWith
    arms: dict[str, RecordedArm]
    figures: list[RecordedFigure]
    margin: float | None
    tuned: dict[str, str]
    claims: list[RecordedClaim]
    verdict: str | None


class Held(NamedTuple):
    """An arm beside its record: how far apart their means are, and how far they may be."""

    arm: str
    ours: float
    record: float
    apart: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether the seeds' spread explains the difference."""
        return self.apart <= self.allowed


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
        "figures": [_figure(figure) for figure in report.figures],
        "margin": plan["margin"],
        "tuned": dict(plan["tuned"]),
        "claims": [_claim(one) for one in judged],
        "verdict": conclusion(judged) if judged else _agreement(report.figures),
    }


def write_record(folder: Path, made: Record) -> Path:
    """Put a record into a ledger; one of that name gives way."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{made['name']}{SUFFIX}"
    write_json(path, made)
    return path


def read_records(folder: Path) -> dict[str, Record]:
    """Give a ledger's records by name.

    Raises:
        UserError: A file is no record.
    """
    found: dict[str, Record] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        made: Record | None = read_as(path, Record, whole=True)
        if made is None:
            raise UserError(f"{path} is no record; make it again with etude-check --record")
        found[made["name"]] = made
    return found


def record_of(records: Mapping[str, Record], name: str) -> Record:
    """Find the record of an experiment or study.

    Raises:
        UserError: There is none.
    """
    if name not in records:
        raise UserError(f"the ledger has no {name}: {unknown(name, records, 'record')}")
    return records[name]


def hold(results: Results, made: Record) -> Iterator[Held]:
    """Hold arms against their records by their means: those that have a record, by their settings.

    The difference of two means of so many seeds is a t-distributed number of standard errors; all
    arms together are found to agree in 95 % of all repetitions.

    Raises:
        UserError: They have no arm in common, or differ in their metric or scale.
    """
    scales = {float(run.summary.get("scale", 1.0)) for row in results.rows
              for run in finished(row.arm)}  # fmt: skip
    if scales - {made["scale"]}:
        raise UserError(f"{made['name']} was recorded at scale={made['scale']:g}, the only one to "
                        "compare with")  # fmt: skip
    recorded = {arm["mark"]: arm for arm in made["arms"].values()}
    rows = [row for row in results.rows if _mark(row) in recorded and row.result is not None]
    if not rows or results.metric != made["metric"]:
        raise UserError(
            f"nothing here has the settings of {made['name']} as it was recorded: "
            f"{' '.join(made['command'])}"
        )
    for row in rows:
        yield _held(row, recorded[_mark(row)], len(rows))


def _mark(row: ArmResults) -> str:
    return mark_of(row.arm.settings)


def _held(row: ArmResults, other: RecordedArm, among: int) -> Held:
    ours, theirs = list(row.values.values()), list(other["values"].values())
    freedom = len(ours) + len(theirs) - 2
    spread = _scatter(ours) + _scatter(theirs)
    square = spread / freedom if freedom and spread else 0.0
    if not square:  # one seed each, or seeds that tie: what the size of the test split lets expect
        mean = fmean([*ours, *theirs])
        freedom, square = _MANY, max(0.0, mean * (1 - mean)) / max(1, other["images"])
    error = math.sqrt(square * (1 / len(ours) + 1 / len(theirs)))
    allowed = quantile(1 - LEVEL / among, freedom) * error
    mine, record_mean = fmean(ours), fmean(theirs)
    return Held(row.label, mine, record_mean, abs(mine - record_mean), allowed)


def _scatter(values: Sequence[float]) -> float:
    return variance(values) * (len(values) - 1) if len(values) > 1 else 0.0


def _arm(row: ArmResults) -> RecordedArm:
    runs = {str(run.seed): run for run in finished(row.arm)}
    values = {str(seed): value for seed, value in row.values.items() if str(seed) in runs}
    if not values:
        raise UserError(f"a record has one run for each seed, and “{row.label}” has several")
    images = min((run.summary.get("data", {}).get("test", 0) for run in runs.values()), default=0)
    return {
        "mark": _mark(row),
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
