"""Every number against SciPy's."""

import math
import warnings

import pytest
from scipy import stats

from etude.report.statistics import difference, holm, spread
from etude.report.student import quantile, two_sided

SAMPLES = [[0.91, 0.93], [0.9, 0.95, 0.97], [0.1, 0.1000001, 0.3, 0.2, 0.15], [5.0, -3.0, 2.0, 8.0]]


@pytest.mark.parametrize("freedom", [1, 2, 2.37, 3, 10, 99, 5000])
def test_students_t_is_scipys(freedom: float):
    for t in (0, 1e-3, 0.5, 1, 2.1, 4.3, 12.7, 300):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)
    for confidence in (0.5, 0.9, 0.95, 0.99):
        expected = stats.t.ppf((1 + confidence) / 2, freedom)
        assert quantile(confidence, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("values", SAMPLES)
def test_a_mean_has_scipys_interval(values: list[float]):
    found = spread(values)
    assert found is not None
    low, high = stats.t.interval(0.95, len(values) - 1, stats.tmean(values), stats.sem(values))
    assert found.mean == pytest.approx(stats.tmean(values))
    assert found.deviation == pytest.approx(stats.tstd(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_a_mean_and_no_interval():
    found = spread([0.9])
    assert found is not None
    assert (found.count, found.mean) == (1, 0.9)
    assert (found.deviation, found.low, found.high) == (None, None, None)


def test_no_value_has_no_spread():
    assert spread([]) is None


def test_arms_with_shared_seeds_are_compared_in_pairs():
    arm, base = {0: 0.92, 1: 0.95, 2: 0.90}, {0: 0.90, 1: 0.91, 2: 0.89}
    found = difference(arm, base)
    expected = stats.ttest_rel(list(arm.values()), list(base.values()))
    low, high = expected.confidence_interval(0.95)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.method == "paired over 3 seeds"


def test_of_unequal_seeds_those_that_are_shared_are_compared():
    arm, base = {0: 0.92, 1: 0.95, 7: 0.2}, {1: 0.91, 0: 0.90, 2: 0.89, 3: 0.5}
    found = difference(arm, base)
    expected = stats.ttest_rel([0.92, 0.95], [0.90, 0.91])
    assert found is not None
    assert found.mean == pytest.approx(0.03)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.method == "paired over 2 seeds"


def test_arms_without_shared_seeds_are_compared_by_welch():
    arm, base = {0: 0.92, 1: 0.95, 2: 0.99}, {5: 0.91, 6: 0.90}
    found = difference(arm, base)
    expected = stats.ttest_ind(list(arm.values()), list(base.values()), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("base", [{0: 0.5}, {9: 0.5}])
def test_one_seed_on_one_side_has_a_difference_and_no_certainty(base: dict[int, float]):
    found = difference({0: 0.7, 1: 0.7}, base)
    assert found is not None
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high, found.p, found.method) == (None, None, None, "one seed")


def test_a_tie_is_no_difference():
    found = difference({0: 0.9, 1: 0.8}, {0: 0.9, 1: 0.8})
    assert found is not None
    assert (found.mean, found.p) == (0.0, 1.0)


def test_differences_without_any_spread_are_not_called_certain():
    found = difference({0: 0.5, 1: 0.75, 2: 1.0}, {0: 0.25, 1: 0.5, 2: 0.75})
    assert found is not None
    with warnings.catch_warnings(action="ignore"):
        assert stats.ttest_rel([0.5, 0.75, 1.0], [0.25, 0.5, 0.75]).pvalue == 0  # what not to say
    assert (found.mean, found.p, found.low) == (0.25, None, None)


def test_an_arm_without_values_is_not_compared():
    assert difference({}, {0: 1.0, 1: 2.0}) is None


def test_holms_correction_is_that_of_the_paper():
    # Holm (1979) step by step for .01, .04, .03, .005: 4·.005, 3·.01, 2·.03, and never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.9]) == [pytest.approx(0.02), None, pytest.approx(0.9)]
    assert holm([]) == []
    assert max(p for p in holm([0.8, 0.9, 0.7]) if p is not None) <= 1


def test_infinity_is_certain():
    assert two_sided(math.inf, 3) == 0
