"""Seeds in rounds: who gets more, and how often looking several times errs."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from etude.report import claims
from etude.report.answer import answer
from etude.report.arms import Arm
from etude.report.read import NO_PLAN, RunFolder
from etude.report.results import Results, compare
from etude.report.rounds import told, undecided
from etude.report.verdicts import verdict
from etude.runs.state import RunState
from etude.runs.study import StudyPlan, rounds

DELTA = 0.01
LOOKS = rounds(3, 20)
NAMES = ["base", "one", "two", "three", "four"]


def plan_of(*, margin: float | None = DELTA, said: Sequence[str] = (), looks: int) -> StudyPlan:
    arms = {name: [name] for name in NAMES}
    return {**NO_PLAN, "study": "s", "baseline": "base", "metric": "test_accuracy",
            "margin": margin, "arms": arms, "claims": list(said), "looks": looks}  # fmt: skip


def results_of(values: Mapping[str, Sequence[float]], plan: StudyPlan) -> Results:
    """What is reported of arms with these values for seeds 0, 1 and so on."""
    arms = [
        Arm(name, {}, tuple(
            RunFolder(Path(f"{name}{seed}"), RunState.FINISHED,
                      {"seed": seed, "final": {"test_accuracy": value}}, plan)
            for seed, value in enumerate(own)))
        for name, own in values.items()
    ]  # fmt: skip
    return compare(arms)


def study_of(values: Mapping[str, Sequence[float]], plan: StudyPlan) -> Results:
    """Give a study seeds in rounds, as the command does; what it says at its end."""
    counts = dict.fromkeys(values, LOOKS[0])
    for number, _ in enumerate(LOOKS, 1):
        found = results_of({name: own[: counts[name]] for name, own in values.items()}, plan)
        wanting = undecided(found)
        if not wanting or number == len(LOOKS):
            return found
        counts |= dict.fromkeys(wanting, LOOKS[number])
    raise AssertionError


def drawn(chance: random.Random, shifts: Sequence[float]) -> dict[str, list[float]]:
    """20 values of each arm; what a seed does to one it does in part to all."""
    shared = [chance.gauss(0, 0.003) for _ in range(LOOKS[-1])]
    return {
        name: [0.9 + shift + luck + chance.gauss(0, 0.005) for luck in shared]
        for name, shift in zip(NAMES, [0.0, *shifts], strict=True)
    }


def share(shifts: Sequence[float], words: set[str], plan: StudyPlan, *, count: int) -> float:
    chance = random.Random(5)
    found = [study_of(drawn(chance, shifts), plan) for _ in range(count)]
    kinds = [{verdict(row, results) for row in results.rows} for results in found]
    return sum(bool(own & words) for own in kinds) / count


@pytest.mark.parametrize(
    ("first", "most", "expected"),
    [(3, 20, (3, 6, 12, 20)), (5, 20, (5, 10, 20)), (3, 4, (3, 4)), (3, 9, (3, 6, 9)),
     (3, 8, (3, 8)), (3, 3, (3,))],
)  # fmt: skip
def test_each_round_doubles_the_seeds(first: int, most: int, expected: tuple[int, ...]):
    assert rounds(first, most) == expected


def test_only_what_is_undecided_and_its_baseline_get_more_seeds():
    base = [0.900, 0.902, 0.898]
    worse = [v - 0.3 + n * 0.0001 for n, v in enumerate(base)]
    values = {"base": base, "one": worse, "two": [0.91, 0.89, 0.905], "three": worse,
              "four": worse}  # fmt: skip
    found = results_of(values, plan_of(looks=4))
    assert undecided(found) == ["base", "two"]
    assert told(found, 1, LOOKS) == (
        "round 1 of 4, 3 seeds: 3 of 4 arms decided; 3 more seeds for “base”, “two”"
    )
    assert told(found, 4, LOOKS).endswith("; the limit is 20 seeds")
    known = results_of({**values, "two": worse}, plan_of(looks=4))
    assert undecided(known) == []
    assert told(known, 1, LOOKS).endswith("4 of 4 arms decided; no more seeds are needed")


def test_where_there_are_claims_their_arms_get_more_seeds():
    values = drawn(random.Random(0), [-0.3, 0.001, 0.0, 0.0])
    said = ["base > one", "two = three"]
    found = results_of({k: v[:3] for k, v in values.items()}, plan_of(said=said, looks=4))
    assert [one.word for one in claims.judge(found)] == ["supported", "undecided"]
    assert undecided(found) == ["two", "three"]
    assert "1 of 2 claims decided; 3 more seeds for “two”, “three”" in told(found, 1, LOOKS)


def test_several_looks_share_what_one_may_spend():
    values = {name: own[:6] for name, own in drawn(random.Random(1), [0.01] * 4).items()}
    once, often = (results_of(values, plan_of(looks=looks)) for looks in (1, 4))
    for one, other in zip(once.rows[1:], often.rows[1:], strict=True):
        assert one.p is not None
        assert other.p == pytest.approx(min(1.0, 4 * one.p))
        assert one.interval is not None
        assert other.interval is not None
        assert other.interval[0] < one.interval[0] < one.interval[1] < other.interval[1]
    said = ["one > base"]
    once, often = (claims.judge(results_of(values, plan_of(said=said, looks=n)))[0] for n in (1, 4))
    assert (once.confidence, often.confidence) == (pytest.approx(0.9), pytest.approx(0.975))


def test_an_arm_that_was_decided_lacks_no_seed_and_the_correction_is_told():
    values = drawn(random.Random(0), [-0.3, 0.001, 0.0, 0.0])
    values["one"] = values["one"][:3]
    once, often = (results_of(values, plan_of(looks=looks)) for looks in (1, 4))
    assert "no result for seed" in once.rows[1].warnings[0]
    assert often.rows[1].warnings == ()
    told_of = [" ".join(one.text for one in answer(found)) for found in (once, often)]
    assert "corrected for 4 looks as well" in told_of[1]
    assert "looks" not in told_of[0]


def test_a_plan_of_before_there_were_rounds_had_one_look():
    assert NO_PLAN["looks"] == 1
    run = RunFolder(Path("x"), RunState.FINISHED, {"seed": 0})
    assert replace(run).plan["looks"] == 1


@pytest.mark.slow
def test_arms_that_are_alike_are_called_better_or_worse_in_under_5_percent_of_studies():
    plan = plan_of(margin=None, looks=len(LOOKS))
    assert share([0, 0, 0, 0], {"better", "worse"}, plan, count=1000) < 0.05
    uncorrected = plan_of(margin=None, looks=1)
    assert share([0, 0, 0, 0], {"better", "worse"}, uncorrected, count=300) > 0.05


@pytest.mark.slow
def test_arms_at_the_margin_are_called_equivalent_in_under_5_percent_of_studies():
    plan = plan_of(looks=len(LOOKS))
    assert share([DELTA, -DELTA, DELTA, -DELTA], {"equivalent"}, plan, count=1000) < 0.05


@pytest.mark.slow
def test_a_false_claim_is_supported_and_a_true_one_refuted_in_under_5_percent_of_studies():
    chance, wrong = random.Random(6), [0, 0]
    plan = plan_of(said=["one > base"], looks=len(LOOKS))
    for _ in range(1000):
        (same,) = claims.judge(study_of(drawn(chance, [0.0, 0, 0, 0]), plan))
        (true,) = claims.judge(study_of(drawn(chance, [DELTA, 0, 0, 0]), plan))
        wrong[0] += same.word == "supported"
        wrong[1] += true.word == "refuted"
    assert max(wrong) / 1000 < 0.05
