"""Verdicts against SciPy's tests, and their errors over many made studies."""

import math
import random
from collections.abc import Hashable

import numpy as np
import pytest
from scipy import stats

from etude.report.equivalence import Verdict, Word, equivalence, judge
from etude.report.statistics import Difference, difference

Values = dict[Hashable, float]
DELTA = 0.01


def arm(generator: random.Random, mean: float, seeds: int, deviation: float = 0.005) -> Values:
    return {seed: generator.gauss(mean, deviation) for seed in range(seeds)}


def studies(shifts: list[float], *, count: int, seeds: int = 5) -> list[list[Verdict | None]]:
    """Judge many studies of a baseline and arms that are truly away from it by `shifts`."""
    generator = random.Random(7)
    found: list[list[Verdict | None]] = []
    for _ in range(count):
        base = arm(generator, 0.9, seeds)
        found.append(
            judge([difference(arm(generator, 0.9 + s, seeds), base) for s in shifts], margin=DELTA)
        )
    return found


def share(found: list[list[Verdict | None]], *words: Word) -> float:
    return sum(any(v is not None and v.word in words for v in row) for row in found) / len(found)


def paired(values: list[float], base: list[float]) -> Difference:
    found = difference(dict(enumerate(values)), dict(enumerate(base)))
    assert found is not None
    return found


def test_equivalence_is_the_larger_of_scipys_two_one_sided_tests():
    apart = [0.002, -0.001, 0.004, 0.0]
    found = equivalence(paired([0.9 + d for d in apart], [0.9] * 4), DELTA)
    above = stats.ttest_1samp(apart, -DELTA, alternative="greater").pvalue
    below = stats.ttest_1samp(apart, DELTA, alternative="less").pvalue
    assert found == pytest.approx(max(above, below))


def test_each_word_is_given():
    base = [0.90, 0.91, 0.89, 0.90]
    steady = [0.001, -0.001, 0.002, 0.0]
    several = [
        paired([b + 0.05 + s for b, s in zip(base, steady, strict=True)], base),
        paired([b - 0.05 + s for b, s in zip(base, steady, strict=True)], base),
        paired([b + s for b, s in zip(base, steady, strict=True)], base),
        paired([0.95, 0.85, 0.97, 0.80], base),
    ]
    words = [v and v.word for v in judge(several, margin=DELTA)]
    assert words == [Word.BETTER, Word.WORSE, Word.EQUIVALENT, Word.UNDECIDED]
    turned = [v and v.word for v in judge(several, margin=DELTA, higher_is_better=False)]
    assert turned[:2] == [Word.WORSE, Word.BETTER]
    assert Word.EQUIVALENT not in [v and v.word for v in judge(several)]


def test_a_sure_difference_within_the_margin_is_equivalent():
    base = [0.90, 0.91, 0.89, 0.90]
    (found,) = judge([paired([b + 0.002 + b / 1e4 for b in base], base)], margin=DELTA)
    assert found is not None
    assert found.p is not None
    assert found.p < 0.05
    assert found.word is Word.EQUIVALENT


def test_what_no_test_can_tell_is_undecided_and_names_no_seeds():
    alike = paired([0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    one = difference({0: 0.9}, {0: 0.8})
    for found in judge([alike, one], margin=DELTA):
        assert found is not None
        assert (found.word, found.p, found.more) == (Word.UNDECIDED, None, None)


def test_the_baselines_own_place_is_left_empty():
    assert judge([None, paired([0.9, 0.8], [0.7, 0.75])])[0] is None


def test_so_many_seeds_more_tell_four_times_of_five():
    # A difference of one standard deviation: for 80 % a paired test wants 10 seeds, as tables say.
    apart = Difference(1.0, "paired over 3 seeds", 0.2, 1 / math.sqrt(3), 2, 3)
    (found,) = judge([apart])
    assert found is not None
    assert found.more == 10 - 3
    generator = np.random.default_rng(0)
    drawn = generator.normal(1.0, 1.0, (4000, 10))
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05) == pytest.approx(
        0.8, abs=0.02
    )


def test_so_many_seeds_more_show_equivalence_four_times_of_five():
    near = Difference(0.0, "paired over 3 seeds", 1.0, 0.01 / math.sqrt(3), 2, 3)
    (found,) = judge([near], margin=DELTA)
    assert found is not None
    assert found.more is not None
    drawn = np.random.default_rng(0).normal(0, 0.01, (4000, 3 + found.more))

    def power(seeds: int) -> float:
        larger = np.maximum(
            stats.ttest_1samp(drawn[:, :seeds], -DELTA, axis=1, alternative="greater").pvalue,
            stats.ttest_1samp(drawn[:, :seeds], DELTA, axis=1, alternative="less").pvalue,
        )
        return float(np.mean(larger < 0.05))

    assert power(3 + found.more - 1) < 0.8 < power(3 + found.more)


def test_no_number_of_seeds_tells_arms_apart_that_are_one():
    same = Difference(0.0, "paired over 3 seeds", 1.0, 0.01, 2, 3)
    (without,) = judge([same])
    assert without is not None
    assert without.more is None


def test_arms_that_are_alike_are_called_better_or_worse_in_under_5_percent_of_studies():
    found = studies([0, 0, 0, 0], count=3000)
    assert 0.01 < share(found, Word.BETTER, Word.WORSE) < 0.05


def test_arms_at_the_margin_are_called_equivalent_in_under_5_percent_of_studies():
    found = studies([DELTA, -DELTA, DELTA, -DELTA], count=6000, seeds=8)
    assert share(found, Word.EQUIVALENT) < 0.05


def test_arms_that_are_alike_are_found_equivalent_with_enough_seeds():
    assert share(studies([0, 0, 0, 0], count=50, seeds=25), Word.EQUIVALENT) > 0.9


def test_of_arms_that_are_alike_the_best_is_not_called_better_than_another():
    """Whoever looks for the best has looked at all pairs: four comparisons would be too few."""
    generator = random.Random(11)
    wrong = [0, 0]
    for _ in range(1500):
        arms = [arm(generator, 0.9, 5) for _ in range(5)]
        best = max(arms, key=lambda values: sum(values.values()))
        found = [None if own is best else difference(own, best) for own in arms]
        for place, among in enumerate((10, 0)):
            judged = judge(found, among=among)
            wrong[place] += any(v is not None and v.word is Word.WORSE for v in judged)
    assert wrong[0] / 1500 < 0.05 < wrong[1] / 1500
