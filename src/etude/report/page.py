"""The page: one file that needs nothing else, with the answer at its top."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from etude.report import svg
from etude.report.answer import Sentence, verdict
from etude.report.arms import varied
from etude.report.assets import asset
from etude.report.charts import Dots, Style, drawn, styles
from etude.report.drawings import Drawing, Drawings
from etude.report.html import panels, table
from etude.report.provenance import commands, every_run, made_with
from etude.report.references import Figure
from etude.report.results import Results
from etude.report.statistics import CONFIDENCE
from etude.report.table import Cell, columns
from etude.report.words import NONE, counted, listed

_TAGS = {
    "failed": "failed",
    "worse": "surely worse",
    "better": "surely better",
    "open": "open",
    "even": "no difference found",
    "unknown": "cannot be told",
    "note": "",
}


def page(
    results: Results,
    sentences: Sequence[Sentence],
    figures: Sequence[Figure],
    drawings: Drawings,
    *,
    folder: Path,
    refresh: int | None = None,
) -> str:
    """Write the page.

    Args:
        results: All arms.
        sentences: The answer.
        figures: The documents' figures beside ours.
        drawings: Every chart.
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
    contents = _contents(results, figures, drawings, folder)
    return Template(asset("page.html")).substitute(
        refresh=again,
        title=escape(f"{listed(names[:3])}: report"),
        style=f"{asset('page.css')}{asset('chart.css')}",
        kicker=escape(f"{'Study' if plan else 'Report'} {listed(names)}"),
        heading=escape(plan.get("question") or f"How do the arms of {listed(names)} compare?"),
        claim=claim,
        sections="\n".join((_answer(sentences), *_sections(contents))),
        footer=made_with(results),
        script=asset("page.js"),
    )


def _contents(
    results: Results, figures: Sequence[Figure], drawings: Drawings, folder: Path
) -> dict[tuple[str, str], str]:
    """Give the sections in their order, by anchor and title; what has nothing to say is empty."""
    return {
        ("arms", "The arms"): _arms(results, drawings.comparison),
        ("documents", "Against the documents"): _documents(figures),
        ("curves", "Learning curves"): _curves(results, drawings.curves),
        ("settings", "Result by setting"): panels([*drawings.sweeps, *drawings.grid]),
        ("classes", "What the best arm takes for what"): panels(drawings.confusions),
        ("configuration", "What differs"): _configuration(results),
        ("runs", "Every run"): every_run(results, folder),
        ("again", "Do it again"): commands(results),
        ("method", "How to read this"): _method(results),
    }


def _sections(contents: dict[tuple[str, str], str]) -> Iterator[str]:
    there = {heading: content for heading, content in contents.items() if content}
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in there)
    yield f'<nav class="toc">{links}</nav>'
    for (name, title), content in there.items():
        yield f'<section id="{name}"><h2>{title}</h2>{content}</section>'


def _answer(sentences: Sequence[Sentence]) -> str:
    items: list[str] = []
    for sentence in sentences:
        tag = f'<span class="tag">{_TAGS[sentence.kind]}</span>' if _TAGS[sentence.kind] else ""
        items.append(f'<li class="{sentence.kind}">{tag}{_bold(sentence.text)}</li>')
    return f'<ul class="answer" aria-label="The answer">{"".join(items)}</ul>'


def _bold(text: str) -> str:
    """Set the names of arms apart by their weight, and keep numbers and their units on a line."""
    whole = re.sub(
        r"(?<=\d) (?=%|points)|(?<=\bp) (?=[=<])|(?<=[=<]) (?=\d)", "\N{NO-BREAK SPACE}", text
    )
    return escape(whole).replace("“", "<b>").replace("”", "</b>")


def _arms(results: Results, drawings: Sequence[Drawing]) -> str:
    shown = columns(results)
    heads = [(column.title, column.hint, column.left) for column in shown]
    rows = [
        (
            "base" if row.label == results.baseline else verdict(row, results),
            [column.cell(row, results) for column in shown],
        )
        for row in results.rows
    ]
    figure = "".join(map(_compared, drawings))
    return f"{figure}{table('arms-table', (heads, rows))}"


def _compared(drawing: Drawing) -> str:
    chart = drawing.chart
    caption = "Diamond: mean; line: its 95 % interval; dots: seeds; upright line: the baseline"
    dotted = isinstance(chart, Dots) and chart.chance is not None
    luck = "; dotted: always naming the most frequent class" if dotted else ""
    return f"<figure>{drawing.svg}<figcaption>{caption}{luck}.</figcaption></figure>"


def _documents(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    titles = ("arm", "figure", "document", "asked for", "here", "agrees", "source")
    heads = [(title, "", index not in {2, 4}) for index, title in enumerate(titles)]
    rows = [("", [Cell(text, text) for text in figure.texts()]) for figure in figures]
    note = "Only the documented run at its full length gets a verdict; others show a dash."
    return f'{table("documents-table", (heads, rows))}<p class="soft">{note}</p>'


def _curves(results: Results, drawings: Sequence[Drawing]) -> str:
    if not drawings:
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
        f'<ul class="legend">{"".join(items)}</ul>{panels(drawings)}'
        f'<p class="soft">Lines are means over the seeds, bands go from the lowest seed to the '
        f"highest.{note}</p>"
    )


def _sample(style: Style) -> str:
    dash = svg.DASHES[style.dash]
    return (
        f'<svg class="c{style.colour}" viewBox="0 0 30 8" aria-hidden="true">'
        f'<path class="line" stroke-dasharray="{dash}" d="M0 4H30"/></svg>'
    )


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
    differing = table("configuration-table", (heads, rows)) if keys else ""
    shared = (
        f"<details><summary>What all of them share</summary><pre>{escape(same)}</pre></details>"
    )
    return f"{differing}{shared}" if first else ""


def _method(results: Results) -> str:
    count = len([row for row in results.rows if row.p is not None])
    done = [run for run in results.runs if run.state.has_result]
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
