"""Seeds in rounds: a study looks at its runs now and then, and gives seeds to what is undecided.

Whoever looks several times has several chances to be wrong. The looks are planned before the first
run, and each is given an equal share of 5 % (Bonferroni's inequality: the chance that any of K
looks errs is at most the sum of theirs, whatever the looks have to do with one another and whatever
made a study go on). Boundaries that spend it more finely (Pocock, Biometrika 1977; O'Brien &
Fleming, Biometrics 1979; Lan & DeMets, Biometrika 1983) are of sums that are normal; three seeds'
Student's t is far from that. At a look Holm's correction over the arms holds as ever: an arm that
was decided earlier stays one of those that were, with the seeds that it had.
"""

from collections.abc import Sequence

from etude.base.text import counted
from etude.report import claims
from etude.report.results import Results
from etude.report.verdicts import verdict

_OPEN = {"open", "even", "unknown"}  # verdicts that more seeds may change


def undecided(results: Results) -> list[str]:
    """Name the arms that need more seeds, in their order: those of claims where there are such.

    What an arm is compared with gets them as well: seeds are compared in pairs.
    """
    judged = claims.judge(results)
    if judged:
        pairs = [(j.claim.left, j.claim.right) for j in judged if j.word == "undecided"]
        named = {arm for pair in pairs for arm in pair}
    else:
        named = {row.label for row in results.rows if verdict(row, results) in _OPEN}
        named |= {str(results.baseline)} if named else set[str]()
    return [row.label for row in results.rows if row.label in named]


def told(results: Results, number: int, looks: Sequence[int]) -> str:
    """Tell of a round in a line: what it decided of how much, and who gets seeds in the next.

    Args:
        results: At its end.
        number: The round's, from 1.
        looks: See `etude.runs.study.rounds`.
    """
    open_, seeds = undecided(results), looks[number - 1]
    judged = claims.judge(results)
    if judged:
        what, left = "claim", sum(one.word == "undecided" for one in judged)
        total = len(judged)
    else:
        what, left, total = "arm", max(0, len(open_) - 1), len(results.rows) - 1
    decided = f"{total - left} of {counted(total, what)} decided"
    line = f"round {number} of {len(looks)}, {counted(seeds, 'seed')}: {decided}"
    if not open_:
        return f"{line}; no more seeds are needed"
    if number == len(looks):
        return f"{line}; the limit is {counted(seeds, 'seed')}"
    names = ", ".join(f"“{name}”" for name in open_)
    return f"{line}; {counted(looks[number] - seeds, 'more seed')} for {names}"
