"""The page: one file that needs nothing else, with the answer at its top."""

import os
import shlex
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from etude.report import svg
from etude.report.answer import Sentence, chance, verdict
from etude.report.arms import varied
from etude.report.assets import asset
from etude.report.charts import (
    Chart,
    Style,
    comparison,
    confusions,
    curves,
    drawn,
    grid,
    styles,
    sweeps,
)
from etude.report.read import Run
from etude.report.references import Figure
from etude.report.results import Results
from etude.report.statistics import CONFIDENCE
from etude.report.table import Cell, columns
from etude.report.words import NONE, counted, duration, listed, number

_TAGS = {
    "failed": "failed",
    "worse": "surely worse",
    "better": "surely better",
    "open": "open",
    "even": "no difference found",
    "unknown": "cannot be told",
    "note": "",
}
_Table = tuple[Sequence[tuple[str, str, bool]], Sequence[tuple[str, Sequence[Cell]]]]


def page(
    results: Results,
    sentences: Sequence[Sentence],
    figures: Sequence[Figure],
    *,
    folder: Path,
    refresh: int | None = None,
) -> str:
    """Write the page.

    Args:
        results: All arms.
        sentences: The answer.
        figures: The documents' figures beside ours.
        folder: Where the page will stand; its links start there.
        refresh: Seconds until a browser loads it again; None: never.
    """
    plan = next((run.plan for run in results.runs if run.plan), {})
    names = list(dict.fromkeys(run.name for run in results.runs))
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    claim = (
        f"<p><b>What the document says:</b> {escape(plan['claim'])} "
        f'<span class="soft">({escape(plan["source"])})</span></p>'
        if plan.get("claim")
        else ""
    )
    sections = _sections(results, sentences, figures, folder)
    return Template(asset("page.html")).substitute(
        refresh=again,
        title=escape(f"{listed(names[:3])}: report"),
        style=f"{asset('page.css')}{asset('chart.css')}",
        kicker=escape(f"{'Study' if plan else 'Report'} {listed(names)}"),
        heading=escape(plan.get("question") or f"How do the arms of {listed(names)} compare?"),
        claim=claim,
        sections="\n".join(sections),
        footer=_footer(results),
        script=asset("page.js"),
    )


def _sections(
    results: Results, sentences: Sequence[Sentence], figures: Sequence[Figure], folder: Path
) -> Iterator[str]:
    yield _answer(sentences)
    contents: list[tuple[str, str, str]] = [
        ("arms", "The arms", _arms(results)),
        ("documents", "Against the documents", _documents(figures)),
        ("curves", "Learning curves", _curves(results)),
        ("settings", "Result by setting", _panels([*sweeps(results), *_some(grid(results))])),
        ("classes", "What the best arm takes for what", _panels([*(confusions(results) or ())])),
        ("configuration", "What differs", _configuration(results)),
        ("runs", "Every run", _runs(results, folder)),
        ("again", "Do it again", _commands(results)),
        ("method", "How to read this", _method(results)),
    ]
    there = [(name, title, content) for name, title, content in contents if content]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in there)
    yield f'<nav class="toc">{links}</nav>'
    for name, title, content in there:
        yield f'<section id="{name}"><h2>{title}</h2>{content}</section>'


def _answer(sentences: Sequence[Sentence]) -> str:
    items: list[str] = []
    for sentence in sentences:
        tag = f'<span class="tag">{_TAGS[sentence.kind]}</span>' if _TAGS[sentence.kind] else ""
        items.append(f'<li class="{sentence.kind}">{tag}{_bold(sentence.text)}</li>')
    return f'<ul class="answer" aria-label="The answer">{"".join(items)}</ul>'


def _bold(text: str) -> str:
    """Set the names of arms apart by their weight instead of by quotation marks."""
    return escape(text).replace("“", "<b>").replace("”", "</b>")


def _arms(results: Results) -> str:
    shown = columns(results)
    heads = [(column.title, column.hint, column.left) for column in shown]
    rows = [
        (
            "base" if row.label == results.baseline else verdict(row, results),
            [column.cell(row, results) for column in shown],
        )
        for row in results.rows
    ]
    luck = chance(results) if results.metric.endswith("accuracy") else None
    chart = comparison(results, chance=luck)
    caption = "Diamond: mean; line: its 95 % interval; dots: seeds; upright line: the baseline"
    dotted = "; dotted: always naming the most frequent class" if luck is not None else ""
    figure = (
        f"<figure>{svg.draw(chart)}<figcaption>{caption}{dotted}.</figcaption></figure>"
        if chart.dots
        else ""
    )
    return f"{figure}{_table('arms-table', (heads, rows))}"


def _documents(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    titles = ("arm", "figure", "document", "asked for", "here", "agrees", "source")
    heads = [(title, "", index not in {2, 4}) for index, title in enumerate(titles)]
    rows = [("", [Cell(text, text) for text in figure.texts()]) for figure in figures]
    note = "Only the documented run at its full length gets a verdict; others show a dash."
    return f'{_table("documents-table", (heads, rows))}<p class="soft">{note}</p>'


def _curves(results: Results) -> str:
    panels = curves(results)
    if not panels:
        return ""
    look = styles(results)
    shown = drawn(results)
    items = (
        f'<li><button data-arm="{escape(row.label)}" '
        f'aria-pressed="true">{_sample(look[row.label])}{escape(row.label)}</button></li>'
        for row in shown
    )
    left_out = len(results.rows) - len(shown)
    note = f" {counted(left_out, 'arm')} of the middle not drawn." if left_out else ""
    return (
        f'<ul class="legend">{"".join(items)}</ul>{_panels(panels)}'
        f'<p class="soft">Lines are means over the seeds, bands go from the lowest seed to the '
        f"highest.{note}</p>"
    )


def _sample(style: Style) -> str:
    dash = svg.DASHES[style.dash]
    return (
        f'<svg class="c{style.colour}" viewBox="0 0 30 8" aria-hidden="true">'
        f'<path class="line" stroke-dasharray="{dash}" d="M0 4H30"/></svg>'
    )


def _panels(charts: Sequence[Chart]) -> str:
    figures = (f"<figure><h3>{escape(c.title)}</h3>{svg.draw(c)}</figure>" for c in charts)
    content = "".join(figures)
    return f'<div class="panels">{content}</div>' if content else ""


def _some(chart: Chart | None) -> list[Chart]:
    return [] if chart is None else [chart]


def _configuration(results: Results) -> str:
    arms = [row.arm for row in results.rows]
    keys = varied(arms)
    heads = [("arm", "", True), *((key, "", True) for key in keys)]
    rows = [
        ("", [Cell(text, text) for text in (arm.label, *(arm.settings.get(k, NONE) for k in keys))])
        for arm in arms
    ]
    first = next((arm.settings for arm in arms if arm.settings), {})
    same = "\n".join(f"{key} = {value}" for key, value in first.items() if key not in keys)
    table = _table("configuration-table", (heads, rows)) if keys else ""
    shared = (
        f"<details><summary>What all of them share</summary><pre>{escape(same)}</pre></details>"
    )
    return f"{table}{shared}" if first else ""


def _runs(results: Results, folder: Path) -> str:
    titles = ("run", "arm", "seed", "state", "epochs", "final", "best", "time", "remark")
    heads = [(title, "", title in {"run", "arm", "state", "remark"}) for title in titles]
    rows = [("", _run(row.label, run, folder)) for row in results.rows for run in row.arm.runs]
    return _table("runs-table", (heads, rows), html=0)


def _run(label: str, run: Run, folder: Path) -> list[Cell]:
    path = os.path.relpath(run.folder, folder)
    name = escape(run.folder.name)
    there = run.state != "not started"
    link = f'<a href="{quote(Path(path).as_posix())}/">{name}</a>' if there else name
    key = "test_accuracy"
    final, best = (run.value(f"{place}.{key}") for place in ("final", "best"))
    error = str(run.summary.get("error") or "")
    seconds = run.value("seconds")
    return [
        Cell(link, run.folder.name),
        Cell(label, label),
        Cell(str(run.seed), run.seed),
        Cell(run.state, run.state),
        Cell(str(run.epochs), run.epochs),
        Cell(number(final), final),
        Cell(number(best), best),
        Cell(duration(seconds), seconds),
        Cell(error, error),
    ]


def _commands(results: Results) -> str:
    commands = dict.fromkeys(shlex.join(c) for run in results.runs if (c := _command(run)))
    plan = next((run.plan for run in results.runs if run.plan.get("command")), None)
    if plan is not None:
        commands = {shlex.join(plan["command"]): None, **commands}
    if not commands:
        return ""
    shown = list(commands)[:20]
    return (
        "<p>What was typed; given again, it trains what is missing and nothing else.</p>"
        f"<pre>{escape(chr(10).join(shown))}</pre>"
        f"<details><summary>Each arm alone</summary><pre>{escape(_alone(results))}</pre></details>"
    )


def _command(run: Run) -> list[str]:
    return [str(word) for word in run.environment.get("command", ())]


def _alone(results: Results) -> str:
    lines: list[str] = []
    for row in results.rows:
        run = next((run for run in row.arm.runs if run.words), None)
        if run is not None:
            words = [f"{key}={value}" for key, value in run.words.items()]
            seeds = ",".join(str(s) for s in sorted({r.seed for r in row.arm.runs}))
            lines.append(shlex.join(["etude", "-m", *words, f"name={run.name}", f"seed={seeds}"]))
    return "\n".join(lines)


def _method(results: Results) -> str:
    count = len([row for row in results.rows if row.p is not None])
    done = [run for run in results.runs if run.state == "finished"]
    images = {run.summary.get("data", {}).get("test") for run in done} - {None}
    selection = sorted({str(run.summary.get("selection")) for run in done})
    one = (
        f" The test split has {next(iter(images)):,} images, so one image is worth "
        f"{1 / next(iter(images)):.4f}."
        if len(images) == 1
        else ""
    )
    return (
        "<p>A seed decides the order of the data, the initialisation and every other draw. "
        f"Intervals hold the mean with {CONFIDENCE:.0%} certainty if results are spread normally "
        "(Student's t); one that passes 0 or 1 says that so few seeds bound little. They tell how "
        f"another seed would do, not another test split.{one}</p>"
        "<p>Differences are taken seed by seed where arms share seeds (a paired t-test), else "
        f"between the means (Welch). p is corrected for {counted(count, 'comparison')} by Holm's "
        "method; below 0.05 a difference is called sure. Runs that did not finish are counted and "
        "have no part in the means.</p>"
        f"<p>final: after the last epoch; best: of the epoch with the best accuracy on "
        f"{escape(listed(selection)) or 'the evaluation split'}.</p>"
    )


def _footer(results: Results) -> str:
    made: list[str] = []
    for key in ("etude", "torch", "python"):
        found = {run.environment.get("versions", {}).get(key) for run in results.runs} - {None}
        made += [f"{key} {escape(listed(sorted(found)))}"] if found else []
    commits = {
        f"{git['commit'][:10]}{' (changed)' if git['dirty'] else ''}"
        for run in results.runs
        if (git := run.environment.get("git"))
    }
    made += [f"commit {escape(listed(sorted(commits)))}"] if commits else []
    for key in ("device", "precision"):
        found = {str(run.summary[key]) for run in results.runs if key in run.summary}
        made += [escape(listed(sorted(found)))] if found else []
    return f"Made with {', '.join(made)}." if made else ""


def _table(name: str, content: _Table, *, html: int | None = None) -> str:
    """Write a table that sorts; the column `html` is markup already."""
    heads, rows = content
    head = "".join(
        f'<th scope="col"{_class(left)}{_tip(hint)}><button>{escape(title)}</button></th>'
        for title, hint, left in heads
    )
    lines: list[str] = []
    for kind, cells in rows:
        line: list[str] = []
        for index, (cell, (title, _, left)) in enumerate(zip(cells, heads, strict=True)):
            text = cell.text if index == html else escape(cell.text)
            value = "" if cell.value is None else escape(str(cell.value))
            wrap = title in {"remarks", "remark", "source", "arm"}
            line.append(f'<td{_class(left, wrap)} data-v="{value}">{text}</td>')
        lines.append(f'<tr class="{kind}">{"".join(line)}</tr>')
    return (
        f'<div class="scroll"><table id="{name}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _class(left: bool, wrap: bool = False) -> str:  # noqa: FBT001, FBT002
    names = ["l"] * left + ["wrap"] * wrap
    return f' class="{" ".join(names)}"' if names else ""


def _tip(hint: str) -> str:
    return f' data-tip="{escape(hint)}"' if hint else ""
