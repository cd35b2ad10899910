"""What a classifier's answers say: intervals, per-class scores, calibration, and a fair comparison.

Plain numbers in, plain numbers out: nothing in here knows images or networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from scipy.special import bdtr, ndtri  # not scipy.stats, which takes a second to import

from etude.report.statistics import CONFIDENCE, Interval

BINS = 15  # of the calibration: Guo et al., "On calibration of modern neural networks" (2017)


class ClassScore(NamedTuple):
    """How well one class is told; None where nothing was of it, or nothing was taken for it."""

    label: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """Answers of about the same probability: how many, the mean of it, and the part that is right.

    Attributes:
        low: Lower end of the probabilities.
        high: Upper end.
        count: Answers.
        confidence: Their mean probability; None of none.
        accuracy: The part of them that is right; None of none.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


class McNemar(NamedTuple):
    """Two classifiers on the same images: those that only one of them tells right, and p."""

    only_first: int
    only_second: int
    p: float


def wilson(right: int, images: int, confidence: float = CONFIDENCE) -> Interval:
    """Give the confidence interval of a fraction, which stays within [0, 1] (Wilson, 1927)."""
    z = float(ndtri((1 + confidence) / 2))
    share, weight = right / images, z * z / images
    middle = share + weight / 2
    half = z * math.sqrt(share * (1 - share) / images + weight / (4 * images))
    # The ends are exact in exact numbers alone.
    low = 0.0 if right == 0 else (middle - half) / (1 + weight)
    high = 1.0 if right == images else (middle + half) / (1 + weight)
    return low, high


def class_scores(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> list[ClassScore]:
    """Score every class by a confusion matrix, a row for each true class."""
    taken = [sum(row[k] for row in counts) for k in range(len(classes))]
    return [
        _class_score(name, counts[k][k], sum(counts[k]), taken[k]) for k, name in enumerate(classes)
    ]


def _class_score(name: str, right: int, images: int, taken: int) -> ClassScore:
    precision = right / taken if taken else None
    recall = right / images if images else None
    f1 = 2 * right / (images + taken) if images + taken else None
    return ClassScore(name, images, precision, recall, f1)


def mean_f1(scores: Sequence[ClassScore]) -> float:
    """Average F1 over the classes that there are images of, each counting the same."""
    return fmean(score.f1 or 0.0 for score in scores if score.images)


def calibration(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> list[Bin]:
    """Sort answers into bins of equal width by the probability that was given to them."""
    found: list[list[int]] = [[] for _ in range(bins)]
    for i, value in enumerate(confidences):
        # The upper end is a bin's own, as the source has it.
        found[min(bins - 1, max(0, math.ceil(value * bins) - 1))].append(i)
    return [
        Bin(
            n / bins,
            (n + 1) / bins,
            len(own),
            fmean(confidences[i] for i in own) if own else None,
            fmean(right[i] for i in own) if own else None,
        )
        for n, own in enumerate(found)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Give the expected calibration error: |accuracy - confidence|, weighted by the answers."""
    total = sum(each.count for each in bins)
    gaps = (
        each.count * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    )
    return math.fsum(gaps) / total


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Compare two classifiers on the same images by McNemar's exact test, two-sided."""
    one = sum(a and not b for a, b in zip(first, second, strict=True))
    other = sum(b and not a for a, b in zip(first, second, strict=True))
    if one == other:
        return McNemar(one, other, 1.0)
    return McNemar(one, other, min(1.0, 2 * float(bdtr(min(one, other), one + other, 0.5))))
