"""The table of arms, one definition for the terminal, the page, Markdown and LaTeX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from etude.report.answer import Sentence
from etude.report.narrow import Shown, has_width, in_tables, wrapped
from etude.report.references import TITLES, DocumentFigure
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import Spread
from etude.report.verdicts import in_words
from etude.report.words import NONE, difference, lasted, number, probability, size, spaced

_FILE_WIDTH = 132  # characters; a terminal's own width otherwise
_MARKS = {
    "headline": "bold", "failed": "red", "worse": "red", "better": "green", "equivalent": "green",
    "open": "yellow", "note": "", "supported": "green", "refuted": "red", "undecided": "yellow",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A text, and what it is sorted by; None sorts last."""

    text: str
    value: float | str | None


@dataclass(frozen=True)
class Column:
    """A heading, an explanation of it, and what a row has there.

    Attributes:
        left: Whether it is set flush left.
        wraps: Whether the page may break its lines.
        second: Whether it stands in the second of a terminal's two tables.
        short: Whether it stands in the one table at the end of a sweep, too.
    """

    title: str
    hint: str
    cell: Callable[[ArmResults, Results], Cell]
    left: bool = False
    wraps: bool = False
    second: bool = False
    short: bool = False


def columns(results: Results) -> list[Column]:
    """Give the columns that have something to say."""
    spread = "mean ± standard deviation"
    runs = "finished runs, of all that there are or were planned"
    interval = "of the mean, by Student's t; of accuracies on the logit scale, within 0 and 1"
    metric, other = spaced(results.metric), spaced(results.other_metric or "")
    wide = {"left": True, "wraps": True, "short": True}
    found = [
        Column("arm", "what the runs share, the seed aside", _label, **wide),
        Column("runs", runs, _runs, short=True),
        Column(metric, f"{spread} over the seeds", lambda r, _: _mean(r.result), short=True),
        Column("95 % interval", interval, lambda r, _: _interval(r.result), wraps=True),
        Column(other, spread, lambda r, _: _mean(r.other)),
        *_differences(),
        Column("remarks", "what to know before relying on the row", _remarks, **wide),
        Column("time", "of a run, median", lambda r, _: _time(r), second=True),
        Column("images/s", "while training, median", lambda r, _: _speed(r), second=True),
        Column("memory", "at the peak, median", lambda r, _: _memory(r), second=True),
    ]
    return [column for column in found if column.title]


def _differences() -> list[Column]:
    paired = "difference to the baseline, seed by seed if shared"
    corrected = "of the difference, corrected as p is"
    p = "probability of such a difference between equal arms; Holm's correction"
    return [
        Column("− baseline", paired, _difference, second=True),
        Column("its 95 % interval", corrected, _difference_interval, wraps=True, second=True),
        Column("p", p, _p, second=True),
    ]


def show(
    console: Console,
    results: Results,
    sentences: Sequence[Sentence],
    figures: Sequence[DocumentFigure],
) -> None:
    """Print the answer, the table of arms, and the documents' figures."""
    if not has_width(console):
        console = Console(file=console.file, width=_FILE_WIDTH, soft_wrap=True, highlight=False)
    for sentence in sentences:
        text = wrapped(f"• {sentence.text}", console, "  ")
        console.print(text, style=_MARKS.get(sentence.kind, ""), markup=False)
    arm, *others = columns(results)
    # Two tables at least: one would be wider than most terminals are.
    for second in (False, True):
        beside = [column for column in others if column.second is second]
        _print([arm, *beside], results, console)
    if figures:
        _documents(figures, console)


def show_short(console: Console, results: Results, sentences: Sequence[Sentence]) -> None:
    """Print the first sentence and one table, which a terminal of 80 columns holds."""
    first = sentences[0].text.replace("“", "").replace("”", "")
    console.print(wrapped(first, console), style="bold", markup=False)
    _print([column for column in columns(results) if column.short], results, console)


def remarks(row: ArmResults, results: Results) -> str:
    """Put what is special about a row into a few words."""
    states = [f"{n} {state}" for state, n in row.states.items() if not state.has_result]
    judged = [said] if row.result is not None and (said := in_words(row, results)) else []
    base = ["baseline"] if row.label == results.baseline else []
    return ", ".join([*base, *judged, *states, *row.warnings])


def _print(shown: Sequence[Column], results: Results, console: Console) -> None:
    arm, *others = (
        Shown(c.title, [c.cell(row, results).text for row in results.rows], c.left, c.wraps)
        for c in shown
    )
    styles = ["bold" if row.label == results.baseline else "" for row in results.rows]
    for table in in_tables(arm, others, console.width, styles):
        console.print(table)


def _documents(figures: Sequence[DocumentFigure], console: Console) -> None:
    texts = zip(*(figure.texts() for figure in figures), strict=True)
    arm, *others = (
        Shown(title, own, left=True, wraps=True) for title, own in zip(TITLES, texts, strict=True)
    )
    console.print("against the documents", style="italic")
    for table in in_tables(arm, others, console.width, titled=True):
        console.print(table)


def _label(row: ArmResults, _: Results) -> Cell:
    return Cell(row.label, row.label)


def _runs(row: ArmResults, _: Results) -> Cell:
    done, all_runs = len(finished(row.arm)), len(row.arm.runs)
    return Cell(str(done) if done == all_runs else f"{done} of {all_runs}", done)


def _mean(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell(NONE, None)
    deviation = "" if spread.deviation is None else f" ± {number(spread.deviation)}"
    return Cell(number(spread.mean) + deviation, spread.mean)


def _interval(spread: Spread | None) -> Cell:
    if spread is None or spread.low is None:
        return Cell(NONE, None)
    return Cell(f"{number(spread.low)} to {number(spread.high)}", spread.low)


def _difference(row: ArmResults, _: Results) -> Cell:
    d = row.difference
    return Cell(difference(d.mean if d else None), d.mean if d else None)


def _difference_interval(row: ArmResults, _: Results) -> Cell:
    if row.interval is None:
        return Cell(NONE, None)
    low, high = row.interval
    return Cell(f"{difference(low)} to {difference(high)}", low)


def _p(row: ArmResults, _: Results) -> Cell:
    return Cell(probability(row.p), row.p)


def _time(row: ArmResults) -> Cell:
    seconds = row.median("seconds")
    return Cell(lasted(seconds), seconds)


def _speed(row: ArmResults) -> Cell:
    speed = row.median("images_per_second")
    return Cell(NONE if speed is None else f"{speed:,.0f}", speed)


def _memory(row: ArmResults) -> Cell:
    memory = row.median("peak_memory_bytes")
    return Cell(size(memory), memory)


def _remarks(row: ArmResults, results: Results) -> Cell:
    text = remarks(row, results)
    return Cell(text, text)
