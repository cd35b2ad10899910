"""Ratios of alternated turns, and how far they spread."""

from collections.abc import Sequence
from math import nan
from statistics import median, quantiles
from typing import NamedTuple


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Give the median and the quartiles; of fewer than two values, the value itself."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, _, high = quantiles(values, n=4, method="inclusive")
    return Spread(median(values), low, high)


def ratios(slower: Sequence[float], faster: Sequence[float]) -> Spread:
    """Divide two contestants' seconds round by round, so that a drift of the machine cancels.

    NaN where a clock saw nothing of a round: the kernel's CPU seconds come in hundredths.
    """
    if not all(faster):
        return Spread(nan, nan, nan)
    return spread([a / b for a, b in zip(slower, faster, strict=True)])


def differences(left: Sequence[float], right: Sequence[float]) -> Spread:
    """Subtract round by round."""
    return spread([a - b for a, b in zip(left, right, strict=True)])
