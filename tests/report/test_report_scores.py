"""A classifier's scores, against values worked out by hand and published ones."""

import pytest

from etude.report.scores import (
    calibration,
    calibration_error,
    class_scores,
    mcnemar,
    mean_f1,
    wilson,
)


# Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_an_interval_is_newcombes(right: int, images: int, low: float, high: float):
    assert wilson(right, images) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(images - right, images)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_an_interval_stays_within_its_bounds_and_narrows_with_images():
    assert wilson(5, 5)[1] == 1.0
    assert wilson(0, 5)[0] == 0.0
    assert wilson(90, 100)[1] - wilson(90, 100)[0] > wilson(900, 1000)[1] - wilson(900, 1000)[0]


def test_classes_are_scored_from_the_confusion_matrix():
    cat, dog, owl = class_scores([[5, 1, 0], [2, 2, 0], [0, 0, 0]], ["cat", "dog", "owl"])
    assert (cat.images, cat.precision, cat.recall) == (6, 5 / 7, 5 / 6)
    assert cat.f1 == pytest.approx(2 * (5 / 7) * (5 / 6) / (5 / 7 + 5 / 6))
    assert (dog.precision, dog.recall, dog.f1) == (2 / 3, 1 / 2, pytest.approx(4 / 7))
    assert owl == ("owl", 0, None, None, None)
    assert mean_f1([cat, dog, owl]) == pytest.approx((10 / 13 + 4 / 7) / 2)


def test_calibration_is_the_weighted_gap_of_its_bins():
    bins = calibration([0.95, 0.9, 0.6, 0.55], [True, True, False, True], bins=2)
    assert [each.count for each in bins] == [0, 4]
    assert bins[0].accuracy is None
    assert calibration_error(bins) == pytest.approx(abs(0.75 - 0.75))
    bins = calibration([0.9, 0.8, 0.3, 0.2], [True, False, False, False], bins=2)
    assert calibration_error(bins) == pytest.approx((2 * abs(0.5 - 0.85) + 2 * 0.25) / 4)
    assert [each.count for each in calibration([0.0, 0.5, 1.0], [True] * 3, bins=2)] == [2, 1]


def test_networks_that_are_as_sure_as_they_are_right_have_no_error():
    assert calibration_error(calibration([1.0] * 4, [True] * 4)) == 0


# The binomial tail by hand: 2 · (1 + 10 + 45) / 2¹⁰ of ten images that differ, two to eight.
@pytest.mark.parametrize(
    ("one", "other", "p"), [(2, 8, 2 * 56 / 1024), (0, 5, 2 / 32), (4, 4, 1.0), (0, 0, 1.0)]
)
def test_mcnemars_test_is_exact(one: int, other: int, p: float):
    first = [True] * one + [False] * other + [True, False]
    second = [False] * one + [True] * other + [True, False]
    assert mcnemar(first, second) == (one, other, pytest.approx(p))
    assert mcnemar(second, first).p == pytest.approx(p)
