"""The page: one file that needs nothing else, with the answer at its top."""

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup, escape

from etude.report import commands, layers
from etude.report.all_charts import Figures, drawn, styles
from etude.report.answer import Sentence
from etude.report.arms import varied
from etude.report.assets import asset, render
from etude.report.bundle.write import BUNDLE
from etude.report.charts import Dots
from etude.report.drawing import DASHES, beyond, draw
from etude.report.read import RunFolder
from etude.report.references import TITLES, DocumentFigure
from etude.report.results import Results
from etude.report.statistics import CONFIDENCE
from etude.report.table import Cell, columns
from etude.report.verdicts import verdict
from etude.report.words import NONE, lasted, listed, number
from etude.runs.state import RunState

_TAGS = {
    "failed": "failed",
    "worse": "surely worse",
    "better": "surely better",
    "equivalent": "equivalent",
    "open": "undecided",
    "even": "undecided",
    "pruned": "given up",
    "unknown": "cannot be told",
    "supported": "supported",
    "refuted": "refuted",
    "undecided": "undecided",
}
_LARGEST = 1.35  # times a chart's own size: larger letters than the text's look loud


class Head(NamedTuple):
    """A column's title and hint, and whether its text stands left, and may take several lines."""

    title: str
    hint: str = ""
    left: bool = True
    wrap: bool = False


class TableLine(NamedTuple):
    """A row of a table: its class, its cells, and where its first one leads."""

    kind: str
    cells: Sequence[Cell]
    link: str = ""


class SortedTable(NamedTuple):
    """A table that sorts."""

    name: str
    heads: Sequence[Head]
    lines: Sequence[TableLine]


def page(
    results: Results,
    sentences: Sequence[Sentence],
    documents: Sequence[DocumentFigure],
    figures: Figures,
    *,
    folder: Path,
    refresh: int | None = None,
    bundle: bool = False,
) -> str:
    """Write the page.

    Args:
        results: All arms.
        sentences: The answer.
        documents: The documents' figures beside ours.
        figures: Every chart.
        folder: Where the page will stand; its links start there.
        refresh: Seconds until a browser loads it again; None: never.
        bundle: Whether there is one beside it.
    """
    return render(
        "page.html",
        refresh=refresh,
        bundle=BUNDLE if bundle else "",
        sentences=[(_TAGS.get(s.kind), s.kind, _bold(s.text)) for s in sentences],
        figures=figures,
        broad=partial(draw, broad=True),
        caption=_caption(figures),
        largest=_LARGEST,
        arms=_arms(results),
        documents=_documents(documents),
        layers=_layers(results),
        configuration=_configuration(results),
        runs=_runs(results, folder),
        style=asset("page.css") + asset("chart.css"),
        script=asset("page.js"),
        **_names(results),
        **_method(results),
    )


def _names(results: Results) -> dict[str, object]:
    """Name what the page is about: its runs, arms, commands and makers."""
    shown, look = drawn(results), styles(results)
    return {
        "names": results.names,
        "plan": results.study,
        "legend": [(row.label, look[row.label]) for row in shown],
        "left_out": len(results.rows) - len(shown),
        "dashes": DASHES,
        "shared": _shared(results),
        "typed": commands.typed(results),
        "alone": commands.alone(results),
        "made_with": list(_made_with(results)),
    }


def _method(results: Results) -> dict[str, object]:
    """Give what the page tells of how it came to its numbers."""
    done = [run for run in results.runs if run.state.has_result]
    sizes = {run.summary.get("data", {}).get("test") for run in done} - {None}
    return {
        "confidence": f"{CONFIDENCE:.0%}",
        "compared": len([row for row in results.rows if row.p is not None]),
        "images": sizes.pop() if len(sizes) == 1 else None,
        "selection": sorted({str(run.summary.get("selection")) for run in done}),
    }


def _bold(text: str) -> Markup:
    """Set the names of arms apart by their weight, and keep numbers and their units on a line."""
    whole = re.sub(
        r"(?<=\d) (?=%|points)|(?<=\bp) (?=[=<])|(?<=[=<]) (?=\d)", "\N{NO-BREAK SPACE}", text
    )
    return escape(whole).replace("“", Markup("<b>")).replace("”", Markup("</b>"))


def _caption(figures: Figures) -> str:
    text = "Diamond: mean; line: its 95 % interval; dots: seeds; upright line: the baseline"
    for drawing in figures.comparison:
        if isinstance(drawing.chart, Dots) and drawing.chart.chance is not None:
            dotted = "" if beyond(drawing.chart) else "dotted, "
            text += f"; {dotted}guessing: always naming the most frequent class"
            if "dotted" not in text and any(dot.guessing for dot in drawing.chart.dots):
                text += "; arrow with a number: an arm far below the others, which learnt nothing"
    return f"{text}."


def _arms(results: Results) -> SortedTable:
    shown = columns(results)
    heads = [Head(c.title, c.hint, c.left, c.wraps) for c in shown]
    lines = [
        TableLine(
            "base" if row.label == results.baseline else verdict(row, results),
            [column.cell(row, results) for column in shown],
        )
        for row in results.rows
    ]
    return SortedTable("arms-table", heads, lines)


def _layers(results: Results) -> SortedTable:
    heads = [Head(title, hint, left=title == "arm") for title, hint in layers.TITLES]
    return SortedTable("signals", heads, [TableLine("", row) for row in layers.lines(results)])


def _documents(documents: Sequence[DocumentFigure]) -> SortedTable:
    heads = [
        Head(title, left=title not in {"document", "here"}, wrap=title in {"arm", "source"})
        for title in TITLES
    ]
    return SortedTable("documents-table", heads, [_words(figure.texts()) for figure in documents])


def _configuration(results: Results) -> SortedTable:
    arms = [row.arm for row in results.rows]
    keys = varied(arms)
    heads = [Head("arm", wrap=True), *map(Head, keys)]
    lines = [_words([arm.label, *(arm.settings.get(k, NONE) for k in keys)]) for arm in arms]
    return SortedTable("configuration-table", heads, lines if keys else [])


def _words(texts: Sequence[str]) -> TableLine:
    return TableLine("", [Cell(text, text) for text in texts])


def _shared(results: Results) -> list[str]:
    arms = [row.arm for row in results.rows]
    keys = varied(arms)
    first = next((arm.settings for arm in arms if arm.settings), {})
    return [f"{key} = {value}" for key, value in first.items() if key not in keys]


def _runs(results: Results, folder: Path) -> SortedTable:
    """List the runs, with links that start at the page's folder."""
    titles = ("run", "arm", "seed", "state", "epochs", "final", "best", "time", "remark")
    wraps = {"arm", "remark"}
    heads = [Head(title, left=title in {"run", "state"} | wraps, wrap=title in wraps)
             for title in titles]  # fmt: skip
    lines = [_run(row.label, run, folder) for row in results.rows for run in row.arm.runs]
    return SortedTable("runs-table", heads, lines)


def _run(label: str, run: RunFolder, folder: Path) -> TableLine:
    final, best = (run.value(f"{place}.test_accuracy") for place in ("final", "best"))
    seconds, error = run.value("seconds"), str(run.summary.get("error") or "")
    cells = [
        Cell(run.folder.name, run.folder.name),
        Cell(label, label),
        Cell(str(run.seed), run.seed),
        Cell(run.state, run.state),
        Cell(str(run.epochs), run.epochs),
        Cell(number(final), final),
        Cell(number(best), best),
        Cell(lasted(seconds), seconds),
        Cell(error, error),
    ]
    path = Path(os.path.relpath(run.folder, folder)).as_posix()
    return TableLine(
        "", cells, "" if run.state is RunState.NOT_STARTED else f"{quote(os.fsencode(path))}/"
    )


def _made_with(results: Results) -> Iterator[str]:
    """Name the versions, commits, devices and precisions of all runs."""
    for key in ("etude", "torch", "python"):
        versions = [run.environment.get("versions", {}) for run in results.runs]
        found = {known[key] for known in versions if key in known}
        if found:
            yield f"{key} {listed(sorted(found))}"
    commits = {
        f"{git['commit'][:10]}{' (changed)' if git['dirty'] else ''}"
        for run in results.runs
        if (git := run.environment.get("git"))
    }
    if commits:
        yield f"commit {listed(sorted(commits))}"
    for key in ("device", "precision"):
        found = {str(run.summary[key]) for run in results.runs if key in run.summary}
        if found:
            yield listed(sorted(found))
