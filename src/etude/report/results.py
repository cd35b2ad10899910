"""What the arms came to: one row an arm, compared with the baseline."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from difflib import get_close_matches
from statistics import fmean, median

from etude.base.errors import UserError
from etude.base.nearest import did_you_mean
from etude.report.arms import Arm
from etude.report.equivalence import Verdict, judge
from etude.report.read import RunFolder
from etude.report.statistics import Difference, Interval, Spread, difference, spread
from etude.report.tested import OTHER, same_test, tested_images
from etude.report.words import is_fraction
from etude.runs.state import RunState
from etude.runs.study import StudyPlan

METRIC = "final.test_accuracy"
_OTHER = {"final": "best", "best": "final"}


@dataclass(frozen=True)
class ArmResults:
    """One arm's results.

    Args:
        arm: Which.
        values: The metric by run, of finished runs that have one.
        result: Their spread; None without any.
        other: The same for the metric's twin: `best.` of a `final.` one, and the other way round.
        states: How many runs are in which state.
        warnings: What a reader of the row must know, each in a few words.
        difference: From the baseline; None for itself, and where one of them has no result.
        judged: What that comes to; None just where the difference is.
    """

    arm: Arm
    values: Mapping[Hashable, float]
    result: Spread | None
    other: Spread | None
    states: Mapping[RunState, int]
    warnings: tuple[str, ...]
    difference: Difference | None = None
    judged: Verdict | None = None

    @property
    def mean(self) -> float:
        """The metric's mean; NaN without a result."""
        return self.result.mean if self.result is not None else math.nan

    @property
    def p(self) -> float | None:
        """The difference's p value after Holm's correction over all arms."""
        return None if self.judged is None else self.judged.p

    @property
    def interval(self) -> Interval | None:
        """The difference's, by the same correction: without 0 just where p is below 0.05."""
        return None if self.judged is None else self.judged.interval

    @property
    def label(self) -> str:
        """The arm's name."""
        return self.arm.label

    @property
    def awaited(self) -> bool:
        """Whether a run of the arm is still to give its result."""
        return any(run.awaited for run in self.arm.runs)

    def median(self, metric: str) -> float | None:
        """Give the middle of a number over the finished runs, as `seconds`."""
        values = [v for run in finished(self.arm) if (v := run.value(metric)) is not None]
        return median(values) if values else None


@dataclass(frozen=True)
class Results:
    """All arms' results.

    Args:
        metric: What they are compared by, as `final.test_accuracy`.
        baseline: The arm that others are compared with; None where no arm has a result.
        chosen: Whether somebody named the baseline; if not, it is the best arm.
        rows: One an arm.
        margin: The largest difference that does not matter, in the metric's unit; None if nobody
            has said.
    """

    metric: str
    baseline: str | None
    chosen: bool
    rows: tuple[ArmResults, ...]
    margin: float | None = None

    @property
    def higher_is_better(self) -> bool:
        """Say which direction of the metric is good."""
        return self.metric.endswith(("accuracy", "images_per_second"))

    @property
    def other_metric(self) -> str | None:
        """Name the metric's twin."""
        place, _, key = self.metric.rpartition(".")
        return f"{_OTHER[place]}.{key}" if place in _OTHER else None

    @property
    def best(self) -> ArmResults | None:
        """The arm with the best mean by `chosen_by`, of equal ones that of the metric itself."""
        sign, means = 1 if self.higher_is_better else -1, self._ranking[1]
        ranked = [row for row in self.rows if row.label in means]
        return max(ranked, key=lambda r: (sign * means[r.label], sign * r.mean), default=None)

    @property
    def chosen_by(self) -> str:
        """By what the best arm is: of test metrics the validation split's, where there is one."""
        return self._ranking[0]

    @property
    def _ranking(self) -> tuple[str, dict[str, float]]:
        """A metric, and means of it; the highest of many test accuracies owes some to luck."""
        ranked = [row for row in self.rows if row.result is not None]
        validated = self.metric.replace(".test_", ".validation_")
        found = [list(_values(row.arm, validated).values()) for row in ranked]
        if ".test_" in self.metric and found and all(found):
            means = {row.label: fmean(own) for row, own in zip(ranked, found, strict=True)}
            return validated, means
        return self.metric, {row.label: row.mean for row in ranked}

    @property
    def names(self) -> list[str]:
        """The names of its experiments and studies."""
        return list(dict.fromkeys(run.name for run in self.runs))

    @property
    def study(self) -> StudyPlan | None:
        """The plan of the first study among its runs; None where all are of a sweep or alone."""
        return next((run.plan for run in self.runs if run.plan["study"]), None)

    @property
    def looks(self) -> int:
        """How many rounds of seeds its study planned; see `etude.report.rounds`."""
        return max(run.plan["looks"] for run in self.runs)

    @property
    def runs(self) -> list[RunFolder]:
        """The runs of all arms."""
        return [run for row in self.rows for run in row.arm.runs]


def compare(
    arms: Sequence[Arm],
    *,
    metric: str = METRIC,
    baseline: str | None = None,
    margin: float | None = None,
) -> Results:
    """Compare arms with a baseline.

    Args:
        arms: At least one.
        metric: `final.<key>`, `best.<key>` or `<key>` of the runs' summaries.
        baseline: An arm's name; None takes the study's, or else the best arm.
        margin: The largest difference that does not matter; None takes the study's, if it has one.

    Raises:
        UserError: There is no such arm, or no run has such a number, or it has no such differences.
    """
    _check_metric(arms, metric)
    margin = _margin(arms, metric, margin)
    rows = tuple(_row(arm, metric, _expected(arm, arms)) for arm in arms)
    alone = Results(metric, None, chosen=False, rows=rows, margin=margin)
    label, chosen = _baseline(alone, baseline)
    base = next((row for row in alone.rows if row.label == label), None)
    if base is None:
        return alone
    found = [None if row is base else difference(row.values, base.values) for row in alone.rows]
    known = sum(row.result is not None for row in alone.rows)
    judged = judge(
        found,
        margin=margin,
        higher_is_better=alone.higher_is_better,
        # Whoever compares all arms with the best has looked at all pairs to find it.
        among=0 if chosen else known * (known - 1) // 2,
        looks=alone.looks,
    )
    rows = tuple(
        replace(_told_of_test(row, base), difference=d, judged=verdict)
        for row, d, verdict in zip(alone.rows, found, judged, strict=True)
    )
    return replace(alone, baseline=label, chosen=chosen, rows=rows)


def _told_of_test(row: ArmResults, base: ArmResults) -> ArmResults:
    alike = row.result is None or same_test(row.arm, base.arm)
    return row if alike else replace(row, warnings=(*row.warnings, OTHER))


def _expected(arm: Arm, arms: Sequence[Arm]) -> Set[int]:
    """Give the seeds that an arm should have: all that any has, unless it got them in rounds."""
    own = {run.seed for run in arm.runs}
    if any(run.plan["looks"] > 1 for run in arm.runs):
        return own
    return {run.seed for other in arms for run in other.runs}


def finished(arm: Arm) -> list[RunFolder]:
    """Give the runs that count."""
    return [run for run in arm.runs if run.state.has_result]


def _row(arm: Arm, metric: str, seeds: Set[int]) -> ArmResults:
    values = _values(arm, metric)
    place, _, key = metric.rpartition(".")
    other = _values(arm, f"{_OTHER[place]}.{key}") if place in _OTHER else {}
    counted = Counter(run.state for run in arm.runs)
    states = {state: counted[state] for state in RunState if state in counted}
    warnings = tuple(_warnings(arm, len(values), seeds))
    images = tested_images(arm) if metric.endswith("test_accuracy") else 0
    result, twin = (
        spread(list(found.values()), fraction=is_fraction(metric), images=images)
        for found in (values, other)
    )
    return ArmResults(arm, values, result, twin, states, warnings)


def _values(arm: Arm, metric: str) -> dict[Hashable, float]:
    """Give the metric by seed, or by run where a seed comes twice and so pairs nothing."""
    found = [(run, v) for run in finished(arm) if (v := run.value(metric)) is not None]
    found = [(run, value) for run, value in found if math.isfinite(value)]
    by_seed: dict[Hashable, float] = {run.seed: value for run, value in found}
    return by_seed if len(by_seed) == len(found) else {run.folder: value for run, value in found}


def _warnings(arm: Arm, count: int, seeds: Set[int]) -> list[str]:
    done = finished(arm)
    warnings = ["one seed"] if count == 1 else []
    if len(done) > count:
        warnings.append(f"{len(done) - count} without a number")
    lost = [run for run in arm.runs if run.state.went_wrong]
    if lost and done:
        warnings.append("the mean leaves out the runs that did not finish")
    missing = sorted(seeds - {run.seed for run in done})
    if missing:
        warnings.append(f"no result for seed {', '.join(map(str, missing))}")
    for key in ("precision", "device", "accumulate"):  # earlier runs do not say the last
        found = sorted({str(run.summary[key]) for run in done if key in run.summary})
        if len(found) > 1:
            warnings.append(f"{key} {' and '.join(found)} mixed")
    if len({run.summary.get("data", {}).get("digest") for run in done}) > 1:
        warnings.append("different data: the same files gave other pixels or labels")
    if broken := [str(run.seed) for run in done if not run.whole]:
        lacking = f"of seed {', '.join(broken)}"
        warnings.append(f"metrics.jsonl lacks epochs, or is another run's, {lacking}")
    return warnings


def _baseline(results: Results, wanted: str | None) -> tuple[str | None, bool]:
    labels = [row.label for row in results.rows]
    if wanted is not None:
        if wanted not in labels:
            near = get_close_matches(wanted, labels, n=1)
            meant = f"{did_you_mean(near)} " if near else ""
            raise UserError(f"--baseline {wanted} is no arm; {meant}there are: {'; '.join(labels)}")
        return wanted, True
    planned = {run.plan["baseline"] for run in results.runs}
    (study,) = planned if len(planned) == 1 else (None,)
    if study in labels:
        return study, True
    return (results.best.label if results.best is not None else None), False


def _margin(arms: Sequence[Arm], metric: str, wanted: float | None) -> float | None:
    """Give the margin that was asked for, or else that of the study that all runs are of."""
    if wanted is None:
        planned = {run.plan["margin"] for arm in arms for run in arm.runs}
        return planned.pop() if len(planned) == 1 else None
    if wanted <= 0 or (is_fraction(metric) and wanted >= 0.5):
        raise UserError(
            f"--delta {wanted:g} must be above 0 and in the unit of {metric}: 0.005 is half a "
            "point of accuracy"
        )
    return wanted


def _check_metric(arms: Sequence[Arm], metric: str) -> None:
    done = [run for arm in arms for run in finished(arm)]
    if not done or any(run.value(metric) is not None for run in done):
        return
    place, _, key = metric.rpartition(".")
    keys = done[0].summary.get(place or "final", {})
    if place and key in keys:  # its numbers are all NaN
        return
    numbers = [name for name in keys if done[0].value(f"{place or 'final'}.{name}") is not None]
    names = ", ".join(f"{place or 'final'}.{name}" for name in numbers)
    raise UserError(f"--metric {metric} is in no run's summary; there are {names}")
