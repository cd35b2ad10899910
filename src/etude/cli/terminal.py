"""What a person sees in the terminal: messages and tables."""

import logging
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from etude.base.duration import duration
from etude.base.text import counted, near
from etude.cli.study import Study
from etude.report.narrow import Shown, in_tables, wrapped
from etude.runs.records import Agreement
from etude.runs.state import RunState

_BOXED = 61  # columns of a run's results with lines between them
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Messages(logging.Handler):
    """Print log records above the progress bar, warnings marked as such."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        text = Text(wrapped(f"{mark}{record.getMessage()}", console))
        text.stylize("yellow", 0, len(mark))
        console.print(text)


def complain(error: BaseException | str) -> None:
    """Print what went wrong to the standard error, line by line."""
    for line in str(error).splitlines():
        errors.print(wrapped(f"etude: {line}", errors), markup=False)


def tell(text: str, style: str = "") -> None:
    """Print a sentence, in a terminal broken between words."""
    console.print(wrapped(text, console), style=style, markup=False)


def times(shape: Sequence[int]) -> str:
    """Write a shape, such as 3×32×32."""
    return "×".join(map(str, shape))


def remark(*lines: str) -> None:
    """Print what is worth knowing before a start, beside what a script may read."""
    for line in lines:
        text = Text(wrapped(f"note: {line}", errors))
        text.stylize("yellow", 0, len("note:"))
        errors.print(text)


def show_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """Print a finished run's results, its folder, and how to look at it."""
    table = _results(summary)
    if console.width < _BOXED:  # lines between columns need room
        table.box, table.padding = None, (0, 1, 0, 0)
    console.print(table)
    if summary["reference"]:
        _show_references(summary["reference"])
    scale = summary["scale"]
    scaled = f", every duration × {scale:g}" if scale != 1 else ""
    parameters = summary["parameters"]["trainable"]
    tell(
        f"{counted(parameters, 'parameter')} trained, {summary['seconds']:.1f} s, "
        f"{summary['images_per_second']:,.0f} images/s in {summary['precision']} on "
        f"{summary['device']}{scaled}"
    )
    tell(f"best epoch selected on: {summary['selection']}")
    console.print(f"folder       {shlex.quote(near(folder))}", markup=False)
    console.print(f"TensorBoard  tensorboard --logdir {shlex.quote(near(folder.parent))}")


def show_outcome(summary: Mapping[str, Any]) -> None:
    """Print a finished run's results in a line."""
    final, best = (summary[which]["test_accuracy"] for which in ("final", "best"))
    console.print(
        f"test accuracy {final:.4f} at the end, {best:.4f} at epoch {summary['best']['epoch']}, "
        f"the best; {summary['seconds']:.1f} s"
    )


def show_end(folder: Path) -> None:
    """Print how to look further at the runs of a sweep."""
    where = shlex.quote(near(folder))
    console.print(f"report       etude-report {where}", markup=False)
    console.print(f"TensorBoard  tensorboard --logdir {where}", markup=False)


def announce_study(study: Study, *, runs: int, waiting: Sequence[int]) -> None:
    """Print a study's question and claim, and how much there is to do (epochs of each run)."""
    tell(f"study {study.name}: {study.question}", style="bold")
    if study.claim:
        tell(f"claim: {study.claim}")
    if study.source:
        tell(f"source: {study.source}")
    epochs = sorted(set(waiting))
    *fewer, most = epochs or [0]
    each = f" of {' or '.join([*map(str, fewer), counted(most, 'epoch')])}" if epochs else ""
    seeds = study.looks[0] if study.looks else len(study.seeds)
    tell(
        f"{counted(len(study.arms), 'arm')} × {counted(seeds, 'seed')} = {counted(runs, 'run')}"
        f"{each}; done: {runs - len(waiting)}; baseline: {study.baseline}"
    )
    if study.looks:
        tell(
            f"then up to {counted(study.looks[-1], 'seed')} for arms that are undecided, in "
            f"{counted(len(study.looks), 'round')} of {', '.join(map(str, study.looks))}"
        )


def announce_time(seconds: float) -> None:
    """Print how long it will take, as a few timed steps tell."""
    console.print(f"about {duration(seconds)}, by a few timed steps")


def announce_report(page: Path, bundle: Path) -> None:
    """Print where a study's report is, and what a reviewer asks for."""
    console.print(f"report  {shlex.quote(near(page))}", markup=False)
    console.print(f"bundle  {shlex.quote(near(bundle))}", markup=False)


def show_arms(
    study: Study, runs: Iterable[tuple[str, Mapping[str, Any] | None, Sequence[Mapping[str, Any]]]]
) -> None:
    """Print how a study's arms compare by its metric, final and best: mean ± standard deviation."""
    title = f"{study.name}: {study.metric.replace('_', ' ')}, mean ± standard deviation"
    until = [] if study.reach is None else [f"epochs to {study.reach:g}"]
    headings = ("runs", "final", "− baseline", "best", *until, "")
    cells: list[list[str]] = []
    found: dict[str, list[Mapping[str, Any]]] = {}
    reached: dict[str, list[int | None]] = {}
    for label, summary, rows in runs:
        found.setdefault(label, []).append(summary or {"state": RunState.NOT_STARTED})
        reached.setdefault(label, []).append(_first_epoch(rows, study))
    means = {
        label: _mean(_accuracies(summaries, "final", study.metric))
        for label, summaries in found.items()
    }
    for label, summaries in found.items():
        final, best = (_accuracies(summaries, w, study.metric) for w in ("final", "best"))
        states = [s["state"] for s in summaries if s["state"] != "finished"]
        remarks = [f"{states.count(state)} {state}" for state in sorted(set(states))]
        remarks += ["one seed"] if len(final) == 1 else []
        base, mean = means.get(study.baseline), means[label]
        difference = ""
        if label != study.baseline and base is not None and mean is not None:
            difference = f"{mean - base:+.4f}"
        to = [] if study.reach is None else [_epochs_to(reached[label])]
        numbers = [str(len(final)), _spread(final), difference, _spread(best), *to]
        cells.append([*numbers, ", ".join(remarks)])
    tell(title, style="italic")
    arms = Shown("arm", list(found), left=True)
    columns = zip(headings, zip(*cells, strict=True), strict=True)
    shown = [Shown(title, texts, not title, not title) for title, texts in columns if any(texts)]
    for table in in_tables(arms, shown, console.width, titled=True):
        console.print(table)
    if study.claim:
        tell(f"claim: {study.claim}")


def _first_epoch(rows: Sequence[Mapping[str, Any]], study: Study) -> int | None:
    """Find the first epoch in which a run reached what its study asks for."""
    limit = study.reach
    return next((row["epoch"] for row in rows if limit and row[study.metric] >= limit), None)


def _epochs_to(epochs: Sequence[int | None]) -> str:
    """Tell the mean of the epochs that it took, and how many runs got there if not all did."""
    there = [epoch for epoch in epochs if epoch is not None]
    if not there:
        return "never"
    few = "" if len(there) == len(epochs) else f"\n({len(there)} of {len(epochs)})"
    return f"{statistics.fmean(there):.1f}{few}"


def _accuracies(summaries: Iterable[Mapping[str, Any]], which: str, metric: str) -> list[float]:
    return [s[which][metric] for s in summaries if s["state"] == "finished"]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.fmean(values):.4f} ± {statistics.stdev(values):.4f}"


def _results(summary: Mapping[str, Any]) -> Table:
    table = Table(title=summary["name"], title_justify="left")
    for column in ("", "epoch", "train", "validation", "test", "test loss"):
        table.add_column(column, justify="left" if not column else "right")
    for which in ("final", "best"):
        result = summary[which]
        scores = [result.get(f"{split}_accuracy") for split in ("train", "validation", "test")]
        shown = [*scores, result.get("test_loss")]
        cells = ("–" if value is None else f"{value:.4f}" for value in shown)
        table.add_row(which, str(result["epoch"]), *cells)
    return table


def _show_references(references: Sequence[Agreement]) -> None:
    titles = ("figure", "document", "asked for", "here", "agrees", "source")
    agrees = {True: "yes", False: "NO", None: "–"}
    rows = [
        (r["metric"], number(r["value"]), r["rule"], number(r["ours"]), agrees[r["agrees"]],
         r["source"])
        for r in references
    ]  # fmt: skip
    figures, *others = (
        Shown(title, texts, left=True, wraps=title in {"asked for", "source"})
        for title, texts in zip(titles, zip(*rows, strict=True), strict=True)
    )
    console.print("beside the document", style="italic")
    for table in in_tables(figures, others, console.width, titled=True):
        console.print(table)


def number(value: float | None) -> str:
    """Write a table's number, or a dash."""
    return "–" if value is None else f"{value:.4f}"
