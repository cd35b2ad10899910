"""Every number against SciPy's."""

import math
import random
import warnings
from collections.abc import Hashable

import pytest
from scipy import stats

from etude.report.statistics import LEVEL, difference, holm, quantile, spread, two_sided

Values = dict[Hashable, float]
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
    assert found.interval() == (pytest.approx(low), pytest.approx(high))
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
    assert found.interval() == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("base", [{0: 0.5}, {9: 0.5}])
def test_one_seed_on_one_side_has_a_difference_and_no_certainty(base: dict[int, float]):
    found = difference({0: 0.7, 1: 0.7}, base)
    assert found is not None
    assert found.mean == pytest.approx(0.2)
    assert (found.interval(), found.p, found.method) == (None, None, "one seed")


def test_a_tie_is_no_difference():
    found = difference({0: 0.9, 1: 0.8}, {0: 0.9, 1: 0.8})
    assert found is not None
    assert (found.mean, found.p) == (0.0, 1.0)


def test_differences_without_any_spread_are_not_called_certain():
    found = difference({0: 0.5, 1: 0.75, 2: 1.0}, {0: 0.25, 1: 0.5, 2: 0.75})
    assert found is not None
    with warnings.catch_warnings(action="ignore"):
        assert stats.ttest_rel([0.5, 0.75, 1.0], [0.25, 0.5, 0.75]).pvalue == 0  # what not to say
    assert (found.mean, found.p, found.interval()) == (0.25, None, None)


def test_an_arm_without_values_is_not_compared():
    assert difference({}, {0: 1.0, 1: 2.0}) is None


def corrected(probabilities: list[float | None]) -> list[float | None]:
    return [found.p for found in holm(probabilities)]


def test_holms_correction_is_that_of_the_paper():
    # Holm (1979) step by step for .01, .04, .03, .005: 4·.005, 3·.01, 2·.03, and never falling.
    assert corrected([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert corrected([0.01, None, 0.9]) == [pytest.approx(0.02), None, pytest.approx(0.9)]
    assert holm([]) == []
    assert max(p for p in corrected([0.8, 0.9, 0.7]) if p is not None) <= 1


def test_an_interval_has_the_confidence_at_which_holms_method_tests_its_arm():
    # .005 at .05/4 and .01 at .05/3 pass; .03 at .05/2 does not, and so .04 is not tested alone.
    levels = [1 - found.confidence for found in holm([0.01, 0.04, 0.03, 0.005])]
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])


def random_arms(draw: random.Random) -> tuple[Values, list[Values]]:
    """Draw a baseline and arms with and without its seeds, some equal to it and some far off."""
    seeds = range(draw.randint(2, 6))
    base: Values = {seed: draw.gauss(0.9, 0.01) for seed in seeds}
    arms: list[Values] = []
    for _ in range(draw.randint(1, 8)):
        shift, first = draw.choice([0, 0.01, 0.02, 0.05, -0.03]), draw.choice([0, 1, 100])
        count = draw.randint(2, 6)
        arms.append({first + s: draw.gauss(0.9 + shift, 0.01) for s in range(count)})
    return base, arms


def test_an_interval_excludes_0_just_where_the_corrected_p_is_below_the_level():
    draw, told = random.Random(0), {True: 0, False: 0}
    for _ in range(2000):
        base, arms = random_arms(draw)
        found = [difference(arm, base) for arm in arms]
        for d, (p, confidence) in zip(found, holm([d and d.p for d in found]), strict=True):
            assert d is not None
            interval, plain = d.interval(confidence), d.interval()
            assert p is not None
            assert interval is not None
            assert plain is not None
            excludes = not interval[0] <= 0 <= interval[1]
            assert excludes == (p < LEVEL)
            assert interval[0] <= plain[0] <= plain[1] <= interval[1]  # never narrower
            told[excludes] += 1
    assert min(told.values()) > 1000  # both kinds came up


def test_at_most_one_family_of_twenty_has_an_interval_that_excludes_0_wrongly():
    draw, wrong, families = random.Random(1), 0, 2000
    for _ in range(families):
        base: Values = {seed: draw.gauss(0, 1) for seed in range(4)}
        arms = [{seed: draw.gauss(0, 1) for seed in base} for _ in range(5)]
        arms.append({seed: draw.gauss(9, 1) for seed in base})  # one that differs truly
        found = [difference(arm, base) for arm in arms]
        intervals = [d and d.interval(c.confidence) for d, c in
                     zip(found, holm([d and d.p for d in found]), strict=True)]  # fmt: skip
        wrong += any(i is not None and not i[0] <= 0 <= i[1] for i in intervals[:-1])
    assert wrong / families < 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)


def test_infinity_is_certain():
    assert two_sided(math.inf, 3) == 0


@pytest.mark.parametrize("values", [[0.5, 0.9], [0.99, 1.0, 1.0], [0.0, 0.01, 0.2], [1.0, 1.0]])
def test_an_interval_of_an_accuracy_stays_within_its_bounds(values: list[float]):
    found = spread(values, fraction=True, images=100)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.01


def test_seeds_that_tie_spread_as_the_test_set_lets_expect():
    tied = spread([0.8, 0.8, 0.8], fraction=True, images=59)
    assert tied is not None
    assert tied.expected == pytest.approx((0.8 * 0.2 / 59) ** 0.5)
    assert tied.low == pytest.approx(0.6406, abs=1e-4)
    unknown = spread([0.8, 0.8, 0.8], fraction=True)
    assert unknown is not None
    assert unknown.low is None


@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize("centre", [0.02, 0.5, 0.98])
def test_intervals_of_accuracies_cover_as_often_as_they_say(count: int, centre: float):
    import numpy as np  # noqa: PLC0415

    draws = np.random.default_rng(0).binomial(1000, centre, (2000, count)) / 1000
    found = [spread(list(seeds), fraction=True, images=1000) for seeds in draws]
    covered = [s is not None and (s.low or 0) <= centre <= (s.high or 1) for s in found]
    assert 0.93 <= sum(covered) / 2000 <= 0.985


@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize("centre", [0.01, 0.1, 0.5, 0.9, 0.998])
@pytest.mark.parametrize("images", [100, 10_000])
def test_intervals_cover_where_seeds_differ_by_more_than_their_test_images(
    count: int, centre: float, images: int
):
    import numpy as np  # noqa: PLC0415

    dice = np.random.default_rng(0)
    odds = centre / (1 - centre) * np.exp(dice.normal(0, 0.3, 100_000))
    able = odds / (1 + odds)  # what each of many seeds could do on all the images that there are
    draws = dice.binomial(images, dice.choice(able, (2000, count))) / images
    found = [spread(list(seeds), fraction=True, images=images) for seeds in draws]
    covered = [s is not None and (s.low or 0) <= able.mean() <= (s.high or 1) for s in found]
    assert sum(covered) / 2000 >= 0.93  # more where some seeds tell none, or all, of few images
    if images * min(centre, 1 - centre) > 15:
        assert sum(covered) / 2000 <= 0.975
