"""Runs held against the ledger's record of them."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from etude.base.errors import UserError
from etude.report.ledger import Record, RecordedArm, all_diverged, settings_mark
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import LEVEL, quantile, variance

_MANY = 1e6  # degrees of freedom where only the test split's size is known


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


class Unheld(NamedTuple):
    """An arm that cannot be held by its mean, why, and whether that is another result."""

    arm: str
    why: str
    differs: bool = False


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
    known = {*recorded, *made.get("diverged", {}).values()}
    told = [row for row in results.rows if row.result is not None or all_diverged(row)]
    rows = [row for row in told if settings_mark(row) in known]
    if not rows or results.metric != made["metric"]:
        raise UserError(
            f"nothing here has the settings of {made['name']} as it was recorded: "
            f"{' '.join(made['command'])}"
        )
    held = [row for row in rows if settings_mark(row) in recorded and row.result is not None]
    for row in held:
        yield _held(row, recorded[settings_mark(row)], len(held))


def unheld(results: Results, made: Record) -> Iterator[Unheld]:
    """Tell of the arms that `hold` has nothing to say of, and of runs that diverged."""
    here = {settings_mark(row): row for row in results.rows}
    for label, arm in made["arms"].items():
        row = here.get(arm["mark"])
        if row is None or (row.result is None and not all_diverged(row)):
            yield Unheld(label, "recorded, and no run of it has finished here")
        elif row.result is None:
            yield Unheld(label, f"diverged here, {arm['mean']:.4f} in the ledger", differs=True)
    diverged = made.get("diverged", {})
    for label, mark in diverged.items():
        if mark in here and here[mark].result is not None:
            yield Unheld(label, f"{here[mark].mean:.4f} here, diverged in the ledger", differs=True)
    known = {*diverged.values(), *(arm["mark"] for arm in made["arms"].values())}
    for mark, row in here.items():
        if mark not in known:
            yield Unheld(row.label, "not in the ledger")


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
