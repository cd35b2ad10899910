"""A study's claims held against its runs: supported, refuted or undecided, and what would decide.

A claim names two arms: `A > B` (A is better), or `A = B` (they are equal within the study's margin
δ). In a study of how soon something is reached the values are epochs, and `A > 2 * B` says that A
takes more than twice as many. By Student's t, seed by seed where arms share seeds:

- `A > B` is supported where the difference is above 0, and refuted where it is below δ;
- `A = B` is supported where it lies between -δ and δ (two one-sided tests), refuted where beyond.

A run that diverged counts as one that guesses, where it is known what guessing gives. An epoch is
whole, so that when something was reached has a variance of 1/12 at least, however alike runs are.

Each is told by one-sided tests at 5 %. A study's word is supported only if all of its claims are,
which needs no correction; it is refuted if one claim is, for which 5 % are divided by their number.
Where seeds were added in rounds, 5 % are divided by the number of rounds first (`report.rounds`).
"""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from etude.base.errors import UserError
from etude.base.text import counted
from etude.report.answer import Sentence
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import LEVEL, Difference, difference, quantile
from etude.report.tested import chance
from etude.report.words import gap, signed
from etude.runs.state import RunState

Word = Literal["supported", "refuted", "undecided"]
_MOST = 1000  # seeds that anybody would run
_CLAIM = re.compile(r"(?P<left>.+?) (?P<sign>[>=]) (?:(?P<times>[\d.]+) \* )?(?P<right>.+)")
_WORDS: tuple[Word, ...] = ("supported", "refuted", "undecided")


class Claim(NamedTuple):
    """One claim: two arms, `>` or `=`, and what the second one's values are multiplied by."""

    text: str
    left: str
    sign: str
    times: float
    right: str


class Rule(NamedTuple):
    """How claims are judged: by δ, among how many, at how many looks, and whether in epochs."""

    margin: float
    among: int
    looks: int = 1
    is_epochs: bool = False

    @property
    def level(self) -> float:
        """Give what each look may spend of 5 %."""
        return LEVEL / self.looks


@dataclass(frozen=True)
class Judged:
    """What the runs say of a claim.

    Args:
        claim: As the study's file has it.
        word: What it comes to.
        found: The difference, left minus right; None where an arm has too few results.
        interval: Of it: what the one-sided tests leave.
        confidence: Of the interval: 0.9, or more where several looks share 5 %.
        more: Further seeds that would decide if mean and spread stayed; None: no number would.
    """

    claim: Claim
    word: Word
    found: Difference | None
    interval: tuple[float, float] | None
    more: int | None
    confidence: float = 1 - 2 * LEVEL


def read_claim(text: str, arms: Sequence[str]) -> Claim:
    """Take a claim apart.

    Raises:
        UserError: It is none, or an arm of that name does not exist.
    """
    match = _CLAIM.fullmatch(text)
    if match is None:
        raise UserError(f"claims: {text!r} must be <arm> > <arm> or <arm> = <arm>")
    left, sign, times, right = match.group("left", "sign", "times", "right")
    for arm in (left, right):
        if arm not in arms:
            raise UserError(f"claims: {text!r} names {arm!r}, which is no arm")
    return Claim(text, left, sign, float(times or 1), right)


def judge(results: Results) -> list[Judged]:
    """Hold every claim of a study against its runs; nothing where the runs are of no one study."""
    plans = [run.plan for run in results.runs]
    plan = plans[0] if plans else None
    if plan is None or not plan["claims"] or any(other is not plan for other in plans):
        return []
    margin = plan["margin"] or 0.0
    values = {row.label: _values(row, results, plan["reach"]) for row in results.rows}
    claims = [read_claim(text, list(plan["arms"])) for text in plan["claims"]]
    rule = Rule(margin, len(claims), plan["looks"], plan["reach"] is not None)
    return [_judged(claim, values, rule) for claim in claims]


def conclusion(judged: Sequence[Judged]) -> Word:
    """Give a study's own word."""
    words = [one.word for one in judged]
    if "refuted" in words:
        return "refuted"
    return "supported" if words and set(words) == {"supported"} else "undecided"


def told(results: Results) -> list[Sentence]:
    """Put what the claims came to into sentences, the study's own word first."""
    judged = judge(results)
    if not judged:
        return []
    plan = results.runs[0].plan
    metric = "epochs" if plan["reach"] else results.metric
    word, count = conclusion(judged), len(judged)
    margin = f", δ = {gap(plan['margin'], metric)}" if plan["margin"] else ""
    parts = ", ".join(f"{sum(j.word == w for j in judged)} {w}" for w in _WORDS)
    claims = "claim is" if count == 1 else f"claims, {count} in all, are"
    first = f"The document's {claims} {word}: {parts}{margin}."
    rates = "; ".join(f"“{arm}” {words}" for arm, words in plan["tuned"].items())
    fair = [Sentence("note", f"Chosen on the validation split, with another seed: {rates}.")]
    return [
        Sentence(word, first),
        *(Sentence(one.word, _sentence(one, metric)) for one in judged),
        *(fair if rates else []),
    ]


def needed(mean: float, deviation: float, claim: Claim, rule: Rule, count: int) -> int | None:
    """Count the seeds in all that would decide a claim if mean and spread stayed; None: none.

    Args:
        mean: Of the differences seed by seed.
        deviation: Of them.
        claim: Which.
        rule: How it is judged.
        count: Seeds that there are.
    """
    for seeds in range(max(count, 2), _MOST + 1):
        found = Difference(mean, "", None, deviation / math.sqrt(seeds), seeds - 1)
        if _word(found, claim.sign, rule) != "undecided":
            return seeds
    return None


def _judged(claim: Claim, values: Mapping[str, Mapping[Hashable, float]], rule: Rule) -> Judged:
    left, right = values.get(claim.left, {}), values.get(claim.right, {})
    times = {seed: claim.times * value for seed, value in right.items()}
    found = difference(left, times)
    if found is not None and rule.is_epochs and found.count:
        found = _of_whole_numbers(found, claim.times)
    if found is None or not found.error:
        return Judged(claim, "undecided", found, None, None)
    word = _word(found, claim.sign, rule)
    shared = len(set(left) & set(right)) if found.method.startswith("paired") else len(left)
    total = needed(found.mean, found.error * math.sqrt(shared), claim, rule, shared)
    more = None if total is None else total - shared
    confidence = 1 - 2 * rule.level
    return Judged(claim, word, found, found.interval(confidence), more, confidence)


def _of_whole_numbers(found: Difference, times: float) -> Difference:
    """Let a difference of epochs spread at least as rounding up to whole ones does."""
    least = math.sqrt((1 + times**2) / 12 / found.count)
    if found.error >= least:
        return found
    return replace(found, error=least, freedom=max(found.freedom, found.count - 1))


def _word(found: Difference, sign: str, rule: Rule) -> Word:
    margin = rule.margin
    half = quantile(1 - 2 * rule.level, found.freedom) * found.error
    far = quantile(1 - 2 * rule.level / rule.among, found.freedom) * found.error
    low, high = found.mean - half, found.mean + half
    if sign == ">":
        if low > 0:
            return "supported"
        return "refuted" if found.mean + far < margin else "undecided"
    if -margin < low and high < margin:
        return "supported"
    beyond = found.mean - far > margin or found.mean + far < -margin
    return "refuted" if beyond else "undecided"


def _values(row: ArmResults, results: Results, reach: float | None) -> Mapping[Hashable, float]:
    """Give an arm's values by seed: its metric's, or the epochs until it reached something.

    A run that never did is taken to have done so after its last epoch, which favours it.
    """
    if not reach:
        return {**row.values, **_guessed(row, results)}
    column = results.metric.rpartition(".")[2]
    epochs: dict[Hashable, float] = {}
    for run in finished(row.arm):
        found = run.columns.get(column, ())
        epochs[run.seed] = next((n for n, v in enumerate(found, 1) if v >= reach), len(found) + 1)
    return epochs


def _guessed(row: ArmResults, results: Results) -> Mapping[Hashable, float]:
    """Give an arm's diverged runs what guessing has; left out, they would not count."""
    luck = chance(row.arm, results.runs) if results.metric.endswith("accuracy") else None
    if luck is None:
        return {}
    return {run.seed: luck for run in row.arm.runs if run.state is RunState.DIVERGED}


def _sentence(one: Judged, metric: str) -> str:
    claim, found = one.claim, one.found
    text = f"“{claim.left}” {claim.sign} “{claim.right}”"
    if claim.times != 1:
        text = f"“{claim.left}” {claim.sign} {claim.times:g} × “{claim.right}”"
    if found is None or one.interval is None:
        return f"{text}: {one.word}; too few results, or none that differ."
    low, high = (signed(end, metric) for end in one.interval)
    text += f": {one.word}; {signed(found.mean, metric)} ({100 * one.confidence:.3g} % interval: "
    return f"{text}{low} to {high}; {found.method}).{_power(one)}"


def _power(one: Judged) -> str:
    if one.word != "undecided":
        return ""
    if one.more is None:
        return " No number of seeds would decide, if it stays so: it is too near the margin."
    return f" {counted(one.more, 'more seed')} would decide, if mean and spread stay."
