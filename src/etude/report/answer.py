"""The answer in plain words: which arm is better, by how much, and how sure that is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from etude.base.text import counted
from etude.report.headline import headline
from etude.report.read import RunFolder
from etude.report.results import ArmResults, Results
from etude.report.statistics import Spread
from etude.report.tested import OTHER, chance
from etude.report.verdicts import needs, verdict, widest
from etude.report.words import NONE, WHY, amount, gap, listed, probability, signed

_ORDER = (
    "failed", "worse", "better", "equivalent", "open", "even", "pruned", "unknown", "none",
)  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """One thing to know.

    Args:
        kind: `headline`, `failed`, `worse`, `better`, `equivalent`, `open`, `even`, `pruned`,
            `unknown` or `note`; of a claim `supported`, `refuted` or `undecided`.
        text: In plain words.
    """

    kind: str
    text: str


def answer(results: Results) -> list[Sentence]:
    """Say what the arms came to: in one sentence, then the most certain first."""
    if results.baseline is None:
        yet = " yet" if any(row.awaited for row in results.rows) else ""
        text = f"No run has a result{yet}."
        return [Sentence("unknown", text), *_counts(results)]
    groups: dict[str, list[ArmResults]] = {}
    for row in results.rows:
        groups.setdefault(verdict(row, results), []).append(row)
    first = headline(results)
    told = [*([Sentence("headline", first)] if first else []), _baseline(results)]
    for kind in _ORDER:
        told += _of_kind(kind, groups.get(kind, []), results)
    if results.looks > 1:
        text = f"Seeds were added in rounds: all is corrected for {results.looks} looks as well."
        told.append(Sentence("note", text))
    return [*told, *_counts(results)]


def _baseline(results: Results) -> Sentence:
    row = next(row for row in results.rows if row.label == results.baseline)
    by = "" if results.chosen_by == results.metric else " by the validation split"
    what = "The baseline" if results.chosen else f"The best arm{by}, here the baseline,"
    if row.result is None:
        yet = " yet" if row.awaited else f": {_states(row)}"
        return Sentence("unknown", f"{what} {_name(row)} has no result{yet}.")
    reached = _reached(row.result, results.metric)
    if len(results.rows) == 1 and not results.chosen:
        return Sentence("note", f"The runs reach {reached}.")
    text = f"{what} {_name(row)} reaches {reached}"
    best = results.best
    if best is not None and best is not row and best.mean != row.mean:
        text += f"; the best arm{by} is {_name(best)} with {_mean(best, results)}"
        if verdict(best, results) != "better":
            text += " (no sure difference)"
    return Sentence("note", f"{text}.")


def _of_kind(kind: str, rows: Sequence[ArmResults], results: Results) -> Iterator[Sentence]:
    if not rows:
        return
    if kind == "failed":
        yield from _failed(rows, results)
    elif kind == "even":
        yield Sentence(
            kind, f"No difference from the baseline was found for {_even(rows, results)}"
        )
    elif kind in {"pruned", "none"}:
        yield from _without_result(kind, rows)
    else:
        sentences = {"open": _unsure, "unknown": _too_few, "equivalent": _equivalent}
        tell = sentences.get(kind, partial(_sure, kind))
        for row in rows:
            yield Sentence(kind, f"{_name(row)}{tell(row, results)}")


def _without_result(kind: str, rows: Sequence[ArmResults]) -> Iterator[Sentence]:
    awaited = [row for row in rows if row.awaited]
    if awaited:
        yield Sentence("unknown", f"No result yet: {_labels(awaited)}.")
    lost = "; ".join(f"{_name(row)}: {_states(row)}" for row in rows if not row.awaited)
    if lost:
        yield Sentence(
            "pruned" if kind == "pruned" else "unknown", f"No result, and none to come: {lost}."
        )


def _even(rows: Sequence[ArmResults], results: Results) -> str:
    most = max(widest(row) for row in rows)
    limit = f"; where there is one, it is most likely below {gap(most, results.metric)}"
    told = [row for row in rows if row.judged is not None and row.judged.more is not None]
    wanted = max(told, key=lambda row: (row.judged and row.judged.more) or 0, default=None)
    return f"{_labels(rows)}{limit if most else ''}{needs(wanted) if wanted else ''}."


def _failed(rows: Sequence[ArmResults], results: Results) -> Iterator[Sentence]:
    lost = [row for row in rows if row.result is None]
    guessing = [row for row in rows if row.result is not None]
    lucks = {row.label: chance(row.arm, results.runs) or 0.0 for row in guessing}
    for luck in dict.fromkeys(lucks.values()):
        same = [row for row in guessing if lucks[row.label] == luck]
        yield Sentence(
            "failed",
            f"{_labels(same)} {'does' if len(same) == 1 else 'do'} not learn at all: "
            f"{_means(same, results)} after training, no better than "
            f"always naming the most frequent class ({amount(luck, results.metric)})."
            f"{_how_far(same, results)}",
        )
    for row in lost:
        yield Sentence("failed", f"{_name(row)} has no result: {_states(row)}.")


def _states(row: ArmResults) -> str:
    return ", ".join(f"{count} {state}" for state, count in row.states.items())


def _how_far(rows: Sequence[ArmResults], results: Results) -> str:
    """Say by how much, and how surely, arms that learnt nothing are below the baseline."""
    gaps = sorted(abs(row.difference.mean) for row in rows if row.difference is not None)
    if not gaps:
        return ""
    one, other = gap(gaps[0], results.metric), gap(gaps[-1], results.metric)
    size = one if one == other else f"{one.partition(' ')[0]} to {other}"
    text = f" That is {size} below the baseline"
    ends = [row.interval for row in rows if row.interval is not None]
    if len(ends) == len(gaps):
        span = _between(min(low for low, _ in ends), max(high for _, high in ends), results)
        p = max(row.p for row in rows if row.p is not None)
        text += f" (95 % interval: {span}; p {_compared(p)}; both corrected)"
    return f"{text}."


def _sure(kind: str, row: ArmResults, results: Results) -> str:
    return (
        f" is {kind}: {_mean(row, results)}, {_away(row, results)} (95 % interval: "
        f"{_span(row, results)}; p {_compared(row.p)}; both corrected; "
        f"{row.difference and row.difference.method})."
    )


def _equivalent(row: ArmResults, results: Results) -> str:
    p = row.judged and row.judged.equivalence_p
    return (
        f" is equivalent within {gap(results.margin or 0.0, results.metric)}: {_mean(row, results)}"
        f", {_away(row, results)} (p {_compared(p)} by two one-sided tests, corrected)."
    )


def _unsure(row: ArmResults, results: Results) -> str:
    values = [amount(value, results.metric) for value in sorted(row.values.values())]
    return (
        f" is uncertain: its {counted(len(values), 'seed')} gave {listed(values)}; on average "
        f"{_away(row, results)}, but anything from {_span(row, results)} fits "
        f"(p {_compared(row.p)}; both corrected){needs(row)}."
    )


def _away(row: ArmResults, results: Results) -> str:
    """Say how far an arm is from the baseline, and on which side."""
    if row.difference is None:
        return ""
    direction = "above" if row.difference.mean > 0 else "below"
    return f"{gap(row.difference.mean, results.metric)} {direction} the baseline"


def _span(row: ArmResults, results: Results) -> str:
    return NONE if row.interval is None else _between(*row.interval, results)


def _between(low: float, high: float, results: Results) -> str:
    return f"{signed(low, results.metric)} to {signed(high, results.metric)}"


def _too_few(row: ArmResults, results: Results) -> str:
    text, d = f": {_mean(row, results)}", row.difference
    if d is None:
        return f"{text}; the baseline has no result to compare with."
    if d.method == "one seed":
        why = "with one seed on one side nobody can say how sure that is"
    else:
        why = "its seeds show no spread, so no test can say how sure that is"
    return f"{text}, {_away(row, results)}; {why}."


def _counts(results: Results) -> Iterator[Sentence]:
    """Tell of every run that has no result, and why."""
    for state, why in WHY.items():
        runs = [run for run in results.runs if run.state is state]
        if runs:
            said = why.format(are="is" if len(runs) == 1 else "are")
            yield Sentence("note", f"{counted(len(runs), 'run')} {said}{_progress(runs)}.")
    if others := [row for row in results.rows if OTHER in row.warnings]:
        verb = "was" if len(others) == 1 else "were"
        text = f"{_labels(others)} {verb} {OTHER}: the difference compares two questions."
        yield Sentence("note", text)
    single = [row for row in results.rows if "one seed" in row.warnings]
    if single and len(single) == len(results.rows):
        yield Sentence("note", "Every arm has one seed: nothing here says how sure it is.")


def _progress(runs: Sequence[RunFolder]) -> str:
    done = [run.epochs for run in runs if run.epochs]
    if not done:
        return ""
    if min(done) < max(done):
        return f" (after {min(done)} to {counted(max(done), 'epoch')})"
    return f" (after {counted(done[0], 'epoch')})"


def _reached(result: Spread, metric: str) -> str:
    mean = amount(result.mean, metric)
    if result.deviation is None:
        return f"{mean} with one seed"
    alone = ""
    if result.expected:
        alone = f"; the size of the test set alone makes ± {gap(result.expected, metric)}"
    spread = gap(result.deviation, metric)
    return f"{mean} on average over {counted(result.count, 'seed')} (± {spread}{alone})"


def _mean(row: ArmResults, results: Results) -> str:
    return amount(row.result.mean, results.metric) if row.result is not None else "no result"


def _means(rows: Sequence[ArmResults], results: Results) -> str:
    """Give the arms' means, once where all of them read the same."""
    means = [_mean(row, results) for row in rows]
    if len(means) > 1 and len(set(means)) == 1:
        return f"{means[0]} each"
    return listed(means)


def _name(row: ArmResults) -> str:
    """Mark an arm's name: it often reads like a part of the sentence."""
    return f"“{row.label}”"


def _labels(rows: Sequence[ArmResults]) -> str:
    return listed([_name(row) for row in rows])


def _compared(p: float | None) -> str:
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"
