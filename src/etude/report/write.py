"""A report into a folder, in the forms that are asked for."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from etude.record.folder import write_text
from etude.report import charts, files, svg
from etude.report.answer import Sentence, answer, chance
from etude.report.arms import group, where
from etude.report.page import page
from etude.report.read import Run, read
from etude.report.references import Figure, figures
from etude.report.results import METRIC, Results, compare

FORMATS = ("html", "csv", "md", "tex", "png", "svg")


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
    results = compare(group(runs, list(group_by)), metric=chosen, baseline=baseline)
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
    if "html" in formats:
        text = page(results, report.sentences, report.figures, folder=folder, refresh=refresh)
        write_text(folder / "report.html", text)
    if drawn := [form for form in ("png", "svg") if form in formats]:
        _draw(results, folder, drawn)


def _draw(results: Results, folder: Path, forms: list[str]) -> None:
    luck = chance(results) if results.metric.endswith("accuracy") else None
    comparison = charts.comparison(results, chance=luck)
    grid = charts.grid(results)
    confusion = charts.confusions(results)
    panels = [
        [comparison] if comparison.dots else [],
        charts.curves(results),
        *([chart] for chart in charts.sweeps(results)),
        [grid] if grid is not None else [],
        list(confusion) if confusion is not None else [],
    ]
    for panel in panels:
        if "svg" in forms:
            for chart in panel:
                write_text(folder / f"{chart.name}.svg", svg.standalone(chart))
        if panel and "png" in forms:
            from etude.report.figures import save  # noqa: PLC0415 (matplotlib takes half a second)

            save(panel, folder)
