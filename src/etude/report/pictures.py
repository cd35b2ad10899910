"""What of a report is drawn: the page with its charts, and each chart as a file."""

from collections.abc import Collection, Sequence
from pathlib import Path

from etude.base.atomic import replacing, write_text
from etude.report.all_charts import find
from etude.report.answer import Sentence
from etude.report.drawing import picture, png
from etude.report.page import page
from etude.report.references import DocumentFigure
from etude.report.results import Results


def write_pictures(
    results: Results,
    sentences: Sequence[Sentence],
    figures: Sequence[DocumentFigure],
    folder: Path,
    formats: Collection[str],
    refresh: int | None,
) -> None:
    """Write those of html, svg and png that are asked for.

    Args:
        results: What is drawn.
        sentences: The page's answer.
        figures: The documents', for the page.
        folder: Is there.
        formats: Some of `etude.report.write.FORMATS`.
        refresh: Seconds after which a browser loads the page again.
    """
    found = find(results)
    if "html" in formats:
        given = results, sentences, figures, found
        write_text(folder / "report.html", page(*given, folder=folder, refresh=refresh))
    if "svg" in formats:
        for drawing in found.all:
            write_text(folder / f"{drawing.chart.name}.svg", picture([drawing]))
    if "png" in formats:
        for group in found.groups:
            with replacing(folder / f"{group[0].chart.name}.png") as file:
                file.write_bytes(png(picture(group)))
