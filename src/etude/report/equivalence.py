"""What a difference comes to: better, worse, equivalent within a margin, or not yet to be told.

Two one-sided tests (Schuirmann 1987) show that a difference is smaller than a margin, with Holm's
correction over all arms as the differences have it; so at most 5 % of all reports call any arm
better or worse wrongly, and at most 5 % call any arm equivalent that is not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy.special import nctdtr, stdtr, stdtrit  # not scipy.stats, which takes a second to import

from etude.report.statistics import LEVEL, Corrected, Difference, Interval, holm

POWER = 0.8  # with which a number of seeds is to tell
_MOST = 1000  # seeds; whoever would need more has other questions to ask first
_CERTAIN = 30.0  # standard errors, from which on SciPy's noncentral t is not needed any more


class Word(StrEnum):
    """How an arm compares with the baseline; the value is what people and scripts read."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Verdict:
    """What one arm's difference from the baseline comes to.

    Args:
        word: In one word. A difference that is sure and yet within the margin is `equivalent`.
        p: Of the difference, corrected; None where no test can be made.
        interval: Of the difference, by the same correction: without 0 just where p is below 0.05.
        equivalence_p: Of the two one-sided tests, corrected; None without a margin or a test.
        more: Seeds (besides those that there are) that would tell with a probability of 0.8, if
            the true difference is the one that was found; None of a decided one, where nothing is
            known of the spread, and where even a thousand would not.
    """

    word: Word
    p: float | None
    interval: Interval | None
    equivalence_p: float | None = None
    more: int | None = None


def judge(
    differences: Sequence[Difference | None],
    *,
    margin: float | None = None,
    higher_is_better: bool = True,
    among: int = 0,
    looks: int = 1,
) -> list[Verdict | None]:
    """Judge several arms' differences from one baseline together.

    Args:
        differences: Of each arm; None (the baseline's own, an arm without a result) stays None and
            does not count.
        margin: The largest difference that does not matter, above 0, in the metric's unit (0.005
            is half a point of accuracy); None: no arm is called equivalent.
        higher_is_better: Which direction of the metric is good.
        among: How many differences these were chosen from, see `etude.report.statistics.holm`.
        looks: How often it was planned to look at the runs, see `etude.report.rounds`.
    """
    apart = holm([None if d is None else d.p for d in differences], among, looks)
    near = [None if d is None else equivalence(d, margin) for d in differences]
    alike = holm(near, among, looks)
    return [
        None if d is None else _verdict(d, one, other, margin, up=higher_is_better)
        for d, one, other in zip(differences, apart, alike, strict=True)
    ]


def equivalence(difference: Difference, margin: float | None) -> float | None:
    """Give the p value of the two one-sided tests: how likely such closeness is at the margin."""
    if margin is None or not difference.error:
        return None
    nearest = margin - abs(difference.mean)  # to an end of the margin
    return float(stdtr(difference.freedom, -nearest / difference.error))


def more_seeds(
    difference: Difference, apart: float, alike: float | None, margin: float | None
) -> int | None:
    """Say how many seeds more would tell; see `Verdict.more`.

    Args:
        difference: As it was found.
        apart: Level of its two-sided test, in (0, 1).
        alike: Level of each of the one-sided tests; None where there is no margin.
        margin: See `judge`.
    """
    if not difference.error or not difference.count:
        return None

    def enough(count: int) -> bool:
        error = difference.error * math.sqrt(difference.count / count)
        freedom = difference.freedom * (count - 1) / (difference.count - 1)
        power = _power_apart(difference.mean / error, freedom, apart)
        if margin is not None and alike is not None:
            power = max(power, _power_alike(difference.mean, margin, error, freedom, alike))
        return power >= POWER

    most = difference.count + _MOST
    if not enough(most):
        return None
    low, high = difference.count, most  # where it is not enough, and where it is
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - difference.count


def _verdict(
    difference: Difference, apart: Corrected, alike: Corrected, margin: float | None, *, up: bool
) -> Verdict:
    interval = difference.interval(apart.confidence)
    if alike.p is not None and alike.p < LEVEL:
        return Verdict(Word.EQUIVALENT, apart.p, interval, alike.p)
    if apart.p is not None and apart.p < LEVEL:
        word = Word.BETTER if (difference.mean > 0) == up else Word.WORSE
        return Verdict(word, apart.p, interval, alike.p)
    level = None if alike.p is None else 1 - alike.confidence
    more = more_seeds(difference, 1 - apart.confidence, level, margin)
    return Verdict(Word.UNDECIDED, apart.p, interval, alike.p, more)


def _power_apart(offset: float, freedom: float, level: float) -> float:
    """Give the probability that a two-sided t-test finds a difference of `offset` errors."""
    return _beyond(-float(stdtrit(freedom, level / 2)), abs(offset), freedom)


def _power_alike(mean: float, margin: float, error: float, freedom: float, level: float) -> float:
    """Give at least the probability that both one-sided tests find the margin kept."""
    limit = -float(stdtrit(freedom, level))
    both = (_beyond(limit, (margin + side * mean) / error, freedom) for side in (-1, 1))
    return max(0.0, sum(both) - 1)


def _beyond(limit: float, offset: float, freedom: float) -> float:
    """Give the probability that a t with a mean of about `offset` is above `limit`."""
    if offset - limit > _CERTAIN:
        return 1.0
    if offset <= -_CERTAIN:
        return 0.0
    return 1 - float(nctdtr(freedom, offset, limit))
