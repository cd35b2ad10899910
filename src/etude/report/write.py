"""A report into a folder, in the forms that are asked for."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from etude.record.folder import write_text
from etude.report import files, svg
from etude.report.answer import Sentence, answer
from etude.report.arms import group as by_arm
from etude.report.arms import where
from etude.report.drawings import Drawing, draw
from etude.report.page import page
from etude.report.read import Run, read
from etude.report.references import Figure, figures
from etude.report.results import METRIC, Results, compare

FORMATS = ("html", "csv", "md", "tex", "png", "svg")
PICTURES = {"html", "png", "svg"}


@dataclass(frozen=True)
class Report:
    """Everything that a report says."""

    results: Results
    sentences: list[Sentence]
    figures: list[Figure]


def make(
    folders: Collection[Path],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    group_by: Collection[str] = (),
    conditions: Collection[str] = (),
) -> Report:
    """Read runs and compare their arms.

    Args:
        folders: Of runs, of studies, or of many.
        metric: What is compared; None: the final value of what the study is about, or of the test
            accuracy.
        baseline: An arm's name; None: the study's, or the best.
        group_by: Hyperparameters that alone divide the runs into arms; none: all do.
        conditions: What runs must meet to be in the report.

    Raises:
        UserError: Something asked for is not there.
    """
    runs: list[Run] = where(read(folders), list(conditions))
    chosen = metric or _of_the_study(runs)
    results = compare(by_arm(runs, list(group_by)), metric=chosen, baseline=baseline)
    return Report(results, answer(results), figures(results))


def _of_the_study(runs: Collection[Run]) -> str:
    """Choose what a study asks about, if all runs belong to studies that ask the same."""
    asked = {run.plan.get("metric") for run in runs}
    return f"final.{asked.pop()}" if len(asked) == 1 and None not in asked else METRIC


def write(
    report: Report, folder: Path, formats: Collection[str] = FORMATS, *, refresh: int | None = None
) -> None:
    """Write a report's files; each is replaced in one go, so that none is read half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    results = report.results
    if "csv" in formats:
        write_text(folder / "arms.csv", files.arms_csv(results))
        write_text(folder / "runs.csv", files.runs_csv(results))
    if "md" in formats:
        text = files.markdown(results, report.sentences, report.figures)
        write_text(folder / "table.md", text)
    if "tex" in formats:
        write_text(folder / "table.tex", files.latex(results))
    if PICTURES.isdisjoint(formats):
        return
    drawings = draw(results)
    if "html" in formats:
        text = page(
            results, report.sentences, report.figures, drawings, folder=folder, refresh=refresh
        )
        write_text(folder / "report.html", text)
    for group in drawings.groups:
        _write_group(group, folder, formats)


def _write_group(group: list[Drawing], folder: Path, formats: Collection[str]) -> None:
    if "svg" in formats:
        for drawing in group:
            text = svg.standalone(drawing.chart, drawing.svg)
            write_text(folder / f"{drawing.chart.name}.svg", text)
    if "png" in formats:
        from etude.report.figures import save  # noqa: PLC0415 (matplotlib takes half a second)

        save([drawing.chart for drawing in group], folder)
