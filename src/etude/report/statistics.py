"""What a few seeds say: means with their spread, differences with their certainty."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from etude.report.student import quantile, two_sided

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE


@dataclass(frozen=True)
class Spread:
    """Values over seeds.

    Args:
        count: How many.
        mean: Their mean.
        deviation: Their standard deviation (n - 1); None of one value.
        low: Lower end of the mean's 95 % confidence interval by Student's t; None of one value.
        high: Its upper end.
    """

    count: int
    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """How far an arm is from the baseline.

    Args:
        mean: Arm minus baseline; over the shared seeds where it is paired.
        low: Lower end of its 95 % confidence interval; None where there is none.
        high: Its upper end.
        p: Probability of a difference this large between equal arms; None: cannot be told.
        method: `paired over <n> seeds`, `Welch`, or `one seed`.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    method: str


def spread(values: Sequence[float]) -> Spread | None:
    """Describe values that are finite; None of none."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(1, mean)
    deviation = math.sqrt(variance(values))
    half = quantile(CONFIDENCE, len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(len(values), mean, deviation, mean - half, mean + half)


def variance(values: Sequence[float]) -> float:
    """Give the unbiased variance of at least two values."""
    mean = math.fsum(values) / len(values)
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
        return Difference(arm[shared[0]] - baseline[shared[0]], None, None, None, "one seed")
    mean = _mean(list(arm.values())) - _mean(list(baseline.values()))
    return Difference(mean, None, None, None, "one seed")


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number (Holm 1979); None stays None and does not count."""
    known = sorted((p, index) for index, p in enumerate(probabilities) if p is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[index] = largest
    return corrected


def _paired(differences: Sequence[float]) -> Difference:
    mean, count = _mean(differences), len(differences)
    error = math.sqrt(variance(differences) / count)
    return _tested(mean, error, count - 1, f"paired over {count} seeds")


def _welch(arm: Sequence[float], baseline: Sequence[float]) -> Difference:
    mean = _mean(arm) - _mean(baseline)
    a, b = variance(arm) / len(arm), variance(baseline) / len(baseline)
    if a + b == 0:
        return _tested(mean, 0.0, 1, "Welch")
    freedom = (a + b) ** 2 / (a**2 / (len(arm) - 1) + b**2 / (len(baseline) - 1))
    return _tested(mean, math.sqrt(a + b), freedom, "Welch")


def _tested(mean: float, error: float, freedom: float, method: str) -> Difference:
    if error <= 1e-12 * abs(mean) or error == 0:
        # Without any spread a t-test would be certain of whatever a few rounded values show.
        return Difference(mean, None, None, 1.0 if mean == 0 else None, method)
    half = quantile(CONFIDENCE, freedom) * error
    return Difference(mean, mean - half, mean + half, two_sided(mean / error, freedom), method)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
