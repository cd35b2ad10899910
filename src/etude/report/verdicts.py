"""Each arm's verdict in a word, for sentences, tables and colours alike."""

import math

from etude.base.text import counted
from etude.report.equivalence import Word
from etude.report.results import ArmResults, Results
from etude.report.tested import chance, tested_images
from etude.runs.state import RunState


def verdict(row: ArmResults, results: Results) -> str:
    """Say in a word how an arm compares with the baseline.

    Returns:
        `failed` (no better than guessing, or no run that did not diverge or fail), `worse` or
        `better` (surely), `equivalent` (surely within the margin), `open` (undecided: the
        difference is large, or its interval is), `even` (undecided: no difference was found, and a
        large one is unlikely), `unknown` (too few seeds for any test), `pruned` (no result, and
        none to come: the search gave it up), `none` (no result), or `baseline`.
    """
    if all(state.went_wrong for state in row.states) or guesses(row, results):
        return "failed"
    if row.result is None:
        return "pruned" if RunState.PRUNED in row.states and not row.awaited else "none"
    if row.label == results.baseline:
        return "baseline"
    if row.judged is None or row.p is None:
        return "unknown"
    if row.judged.word is not Word.UNDECIDED:
        return str(row.judged.word)
    return "open" if widest(row) > _narrow(results) else "even"


def guesses(row: ArmResults, results: Results) -> bool:
    """Say whether all of an arm's runs are within three standard errors of guessing.

    Of a small test set that is much: what is over 5 points above has learnt something.
    """
    luck = chance(row.arm, results.runs)
    if luck is None or not results.metric.endswith("accuracy") or not row.values:
        return False
    images = tested_images(row.arm) or 1
    limit = luck + min(3 * math.sqrt(luck * (1 - luck) / images), 0.05)
    return all(value <= limit for value in row.values.values())


def decided(kind: str) -> bool:
    """Say whether a verdict needs no more seeds."""
    return kind in {"failed", "worse", "better", "equivalent"}


def in_words(row: ArmResults, results: Results) -> str:
    """Give an arm's verdict as tables have it; an empty text where there is none."""
    kind = verdict(row, results)
    if kind in {"open", "even"}:
        return f"undecided{needs(row)}"
    said = {"failed": "did not learn", "better": "better", "worse": "worse"}
    return "equivalent" if kind == "equivalent" else said.get(kind, "")


def needs(row: ArmResults) -> str:
    """Say how many seeds more would tell, as an addition to a word; nothing if nobody knows."""
    more = None if row.judged is None else row.judged.more
    return "" if more is None else f": about {counted(more, 'more seed')} would tell"


def widest(row: ArmResults) -> float:
    """Give the largest difference from the baseline that fits an arm's seeds."""
    return max(map(abs, row.interval)) if row.interval is not None else 0.0


def _narrow(results: Results) -> float:
    """Give the width from which on an interval leaves the question open: a tenth of the scale."""
    base = next(row for row in results.rows if row.label == results.baseline).result
    return 0.1 * abs(base.mean) if base is not None else math.inf
