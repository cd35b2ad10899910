"""What a few seeds say: means with their spread, differences with their certainty."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from scipy.special import (
    expit,
    logit,
    stdtr,
    stdtrit,
)  # not scipy.stats, which takes a second to import

from etude.base.text import counted

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
Interval = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Values over seeds.

    Args:
        count: How many.
        mean: Their mean.
        deviation: Their standard deviation (n - 1); None of one value.
        low: Lower end of the mean's 95 % confidence interval by Student's t, for fractions on the
            logit scale; None of one value, and of values that tie where nothing else is known.
        high: Its upper end.
        expected: Standard deviation of a fraction by the size of the test set alone.
    """

    count: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None
    expected: float | None = None


@dataclass(frozen=True)
class Difference:
    """How far an arm is from the baseline.

    Args:
        mean: Arm minus baseline; over the shared seeds where it is paired.
        method: `paired over <n> seeds`, `Welch`, or `one seed`.
        p: Probability of a difference this large between equal arms; None: cannot be told.
        error: Standard error of the mean; 0 where nothing is known of it.
        freedom: Degrees of freedom of that.
        count: Seeds that the error is of: the shared ones, or those of the side with fewer.
    """

    mean: float
    method: str
    p: float | None = None
    error: float = 0.0
    freedom: float = 1.0
    count: int = 0

    def interval(self, confidence: float = CONFIDENCE) -> Interval | None:
        """Give the confidence interval by Student's t; None where there is none."""
        if not self.error:
            return None
        half = quantile(confidence, self.freedom) * self.error
        return self.mean - half, self.mean + half


class Corrected(NamedTuple):
    """A p value after correction, and the confidence at which its interval tells the same."""

    p: float | None
    confidence: float


def two_sided(t: float, freedom: float) -> float:
    """Give the probability of a |T| of at least |t| with `freedom` degrees of freedom."""
    return 2 * float(stdtr(freedom, -abs(t)))


def quantile(confidence: float, freedom: float) -> float:
    """Give the t that |T| stays below with a probability of `confidence`, in (0, 1)."""
    return -float(stdtrit(freedom, (1 - confidence) / 2))


def spread(values: Sequence[float], *, fraction: bool = False, images: int = 0) -> Spread | None:
    """Describe values that are finite; None of none.

    Args:
        values: One a run.
        fraction: Whether they are parts of 1, as accuracies are.
        images: That each is a fraction of; 0 where it is not known.
    """
    if not values:
        return None
    mean = fmean(values)
    expected = math.sqrt(max(0.0, mean * (1 - mean)) / images) if fraction and images else None
    if len(values) == 1:
        return Spread(1, mean, expected=expected)
    deviation = math.sqrt(variance(values))
    if fraction:
        ends = _within_bounds(mean, deviation, len(values), images)
        return Spread(len(values), mean, deviation, *ends, expected)
    half = quantile(CONFIDENCE, len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(len(values), mean, deviation, mean - half, mean + half)


def _within_bounds(
    mean: float, deviation: float, count: int, images: int
) -> Interval | tuple[None, None]:
    """Give the interval of a mean fraction by Student's t on the logit scale: within [0, 1].

    Values that tie are taken to spread as the size of the test set alone lets expect, and a mean
    of 0 or 1 as half an image away from it: three seeds with one result are no certainty.
    """
    total = images * count
    centre = (mean * total + 0.5) / (total + 1) if mean in {0, 1} and total else mean
    slope = centre * (1 - centre)  # of the way back from the logit scale
    if deviation <= 1e-12 and images:
        deviation = math.sqrt(slope / images)
    if slope <= 0 or deviation <= 1e-12:
        return None, None
    half = quantile(CONFIDENCE, count - 1) * deviation / math.sqrt(count) / slope
    place = float(logit(centre))
    return min(mean, float(expit(place - half))), max(mean, float(expit(place + half)))


def variance(values: Sequence[float]) -> float:
    """Give the unbiased variance of at least two values."""
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def difference(
    arm: Mapping[Hashable, float], baseline: Mapping[Hashable, float]
) -> Difference | None:
    """Compare two arms, each given as its values by seed.

    Two shared seeds or more are compared in pairs (a paired t-test), as a seed gives both arms the
    same data order. Without them, two values on each side are compared by Welch's t-test.
    """
    if not arm or not baseline:
        return None
    shared = [seed for seed in arm if seed in baseline]
    if len(shared) >= 2:
        return _paired([arm[seed] - baseline[seed] for seed in shared])
    if len(arm) >= 2 and len(baseline) >= 2:
        return _welch(list(arm.values()), list(baseline.values()))
    if shared:  # the same seed on both sides says more than two means of one value
        return Difference(arm[shared[0]] - baseline[shared[0]], "one seed")
    return Difference(fmean(arm.values()) - fmean(baseline.values()), "one seed")


def holm(probabilities: Sequence[float | None], among: int = 0, looks: int = 1) -> list[Corrected]:
    """Correct p values for their number (Holm 1979); None stays None and does not count.

    Holm's method tests the smallest of m values at 5 % / m, the next at 5 % / (m - 1), and stops
    at the first that fails; what is left shares that one's level. An interval at its own level so
    leaves out 0 just where the corrected p is below 5 %: in at most 5 % of all reports does any
    interval leave out 0 wrongly, and none is narrower than its plain 95 % interval.

    Args:
        probabilities: As the tests gave them.
        among: How many they were chosen from, where those are more: of five arms the best one's
            differences are four of ten.
        looks: How often it was planned to look at the runs, see `etude.report.rounds`.
    """
    known = sorted((p, index) for index, p in enumerate(probabilities) if p is not None)
    corrected = [Corrected(None, CONFIDENCE)] * len(probabilities)
    number = max(len(known), among)
    largest, sharing = 0.0, number
    for rank, (p, index) in enumerate(known):
        if largest < LEVEL:
            sharing = number - rank
        largest = max(largest, min(1.0, p * (number - rank) * looks))
        corrected[index] = Corrected(largest, 1 - LEVEL / (sharing * looks))
    return corrected


def _paired(differences: Sequence[float]) -> Difference:
    count = len(differences)
    error = math.sqrt(variance(differences) / count)
    tested = _tested(fmean(differences), error, count - 1, f"paired over {counted(count, 'seed')}")
    return replace(tested, count=count)


def _welch(arm: Sequence[float], baseline: Sequence[float]) -> Difference:
    mean = fmean(arm) - fmean(baseline)
    a, b = variance(arm) / len(arm), variance(baseline) / len(baseline)
    if a + b == 0:
        return _tested(mean, 0.0, 1, "Welch")
    freedom = (a + b) ** 2 / (a**2 / (len(arm) - 1) + b**2 / (len(baseline) - 1))
    tested = _tested(mean, math.sqrt(a + b), freedom, "Welch")
    return replace(tested, count=min(len(arm), len(baseline)))


def _tested(mean: float, error: float, freedom: float, method: str) -> Difference:
    if error <= 1e-12 * abs(mean) or error == 0:
        # Without any spread a t-test would be certain of whatever a few rounded values show.
        return Difference(mean, method, 1.0 if mean == 0 else None)
    return Difference(mean, method, two_sided(mean / error, freedom), error, freedom)
