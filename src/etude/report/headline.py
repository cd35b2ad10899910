"""What came of it, in one sentence: which arm leads, and whether that is sure."""

import math
from collections.abc import Callable, Iterator, Sequence

from etude.base.text import counted
from etude.report.results import ArmResults, Results
from etude.report.verdicts import verdict
from etude.report.words import amount, gap, listed

_SHOWN = 5  # names in a row


def headline(results: Results) -> str:
    """Say in one sentence what the arms came to; an empty text where nothing was compared."""
    rows = [row for row in results.rows if row.result is not None]
    if results.baseline is None or len(rows) < 2 or results.best is None:
        return ""
    kinds = {row.label: verdict(row, results) for row in rows}

    def of(*wanted: str) -> list[ArmResults]:
        return [row for row in rows if kinds[row.label] in wanted]

    if all(row.result is not None and row.result.count == 1 for row in rows):
        return _by_one_seed(results.best, results)
    parts = _of_baseline(of, results) if results.chosen else _of_best(of, results)
    return _sentence(parts)


def _by_one_seed(best: ArmResults, results: Results) -> str:
    high = "highest" if results.higher_is_better else "lowest"
    reached = amount(best.mean, results.metric)
    by = "" if results.chosen_by == results.metric else "by the validation split, "
    seeds = "seed=0,1,2,3,4" if results.study is None else "study.seeds=[0,1,2,3,4]"
    return (
        f"{_names([best])} is {high} {by}with {reached}{' on the test split' if by else ''}, but "
        f"nobody can say how sure that is: every arm has one seed, and {seeds} gives five."
    )


def _of_best(of: Callable[..., list[ArmResults]], results: Results) -> Iterator[str]:
    """Say which arms cannot be told from the best one, and which lose."""
    base = next(row for row in results.rows if row.label == results.baseline)
    open_, alike, lost = of("open", "even", "unknown"), of("equivalent"), of("worse")
    if open_:
        together = sorted([base, *open_], key=lambda row: _place(row, results))
        yield f"you cannot tell {_names(together)} apart{_wanted(open_)}"
    if alike:
        within = gap(results.margin or 0.0, results.metric)
        yield f"{_names([base, *alike])} are equivalent within {within}"
    if lost:
        ahead = "" if open_ or alike else f"{_names([base])} leads: "
        yield f"{ahead}{_names(lost)} {'loses' if len(lost) == 1 else 'lose'}"
    yield from _that_failed(of)


def _of_baseline(of: Callable[..., list[ArmResults]], results: Results) -> Iterator[str]:
    """Say which arms are better and worse than the baseline that somebody named."""
    base = f"the baseline “{results.baseline}”"
    for kind in ("better", "worse"):
        if found := of(kind):
            yield f"{_names(found)} {_be(found)} {kind} than {base}"
            base = "it"
    if found := of("equivalent"):
        within = gap(results.margin or 0.0, results.metric)
        yield f"{_names(found)} {_be(found)} equivalent to {base} within {within}"
        base = "it"
    if found := of("open", "even", "unknown"):
        yield f"{_names(found)} cannot be told from {base}{_wanted(found)}"
    yield from _that_failed(of)


def _that_failed(of: Callable[..., list[ArmResults]]) -> Iterator[str]:
    if failed := of("failed"):
        yield f"{_names(failed)} {'does' if len(failed) == 1 else 'do'} not learn"


def _wanted(rows: Sequence[ArmResults]) -> str:
    """Say how many seeds more would tell, of the arm that wants the fewest."""
    known = [row.judged.more for row in rows if row.judged is not None and row.judged.more]
    if not known:
        return ""
    first = "" if len(rows) == 1 else " the first"
    return f" (about {counted(min(known), 'more seed')} would tell{first})"


def _sentence(parts: Iterator[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _names(rows: Sequence[ArmResults]) -> str:
    names = [f"“{row.label}”" for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        names.append(counted(len(rows) - _SHOWN, "other"))
    return listed(names)


def _be(rows: Sequence[ArmResults]) -> str:
    return "is" if len(rows) == 1 else "are"


def _place(row: ArmResults, results: Results) -> float:
    """Give what the best arm has the least of; arms without a result come last."""
    if row.result is None:
        return math.inf
    return -row.mean if results.higher_is_better else row.mean
