"""A report into a folder, in the forms that are asked for."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from etude.base.atomic import write_text
from etude.base.errors import UserError
from etude.base.text import counted
from etude.report import files
from etude.report.answer import Sentence, answer
from etude.report.arms import group as by_arm
from etude.report.arms import where
from etude.report.bundle.credit import NOBODY, Credit
from etude.report.bundle.write import BUNDLE, write_bundle
from etude.report.claims import told
from etude.report.copies import told_of, without_copies
from etude.report.read import RunFolder, read
from etude.report.references import DocumentFigure, figures
from etude.report.results import METRIC, Results, compare

FORMATS = ("html", "csv", "md", "tex", "png", "svg", "bundle")
_PICTURES = {"html", "png", "svg"}


@dataclass(frozen=True)
class Report:
    """Everything that a report says."""

    results: Results
    sentences: list[Sentence]
    figures: list[DocumentFigure]


def make(
    folders: Collection[Path],
    *,
    metric: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    group_by: Collection[str] = (),
    conditions: Collection[str] = (),
) -> Report:
    """Read runs and compare their arms.

    Args:
        folders: Of runs, of studies, or of many.
        metric: What is compared; None: the final value of what the study is about, or of the test
            accuracy.
        baseline: An arm's name; None: the study's, or the best.
        margin: The largest difference that does not matter; None: the study's, or none.
        group_by: Hyperparameters that alone divide the runs into arms; none: all do.
        conditions: What runs must meet to be in the report.

    Raises:
        UserError: Something asked for is not there, or the runs cannot be compared.
    """
    runs, copies = without_copies(where(read(folders), list(conditions)))
    _check_data(runs)
    chosen = metric or _of_the_study(runs)
    arms = by_arm(runs, list(group_by))
    results = compare(arms, metric=chosen, baseline=baseline, margin=margin)
    twice = [Sentence("note", told_of(copies))] if copies else []
    return Report(results, [*twice, *told(results), *answer(results)], figures(results))


def _check_data(runs: Collection[RunFolder]) -> None:
    """Refuse to compare experiments on different data; one sweep or study may vary it."""
    found: dict[str, tuple[str, str]] = {}
    for run in runs:
        if digest := run.summary.get("data", {}).get("digest"):
            found.setdefault(digest, (run.name, str(run.hyperparameters.get("dataset._target_"))))
    names = sorted({name for name, _ in found.values()})
    if len(names) < 2:
        return
    sets = ", ".join(sorted(f"{name} on {data}" for name, data in found.values()))
    raise UserError(
        f"the runs are on {counted(len(found), 'data set')}, whose results cannot be compared "
        f"({sets}); give the folder of one, or --where dataset._target_=<one>"
    )


def _of_the_study(runs: Collection[RunFolder]) -> str:
    """Choose what a study asks about, if all runs belong to studies that ask the same."""
    asked = {run.plan["metric"] for run in runs}
    return f"final.{asked.pop()}" if len(asked) == 1 and "" not in asked else METRIC


def write(
    report: Report,
    folder: Path,
    formats: Collection[str] = FORMATS,
    *,
    refresh: int | None = None,
    credit: Credit = NOBODY,
) -> None:
    """Write a report's files; each is replaced in one go, so that none is read half-written.

    Args:
        report: What they say.
        folder: Made if it is not there.
        formats: Some of `FORMATS`.
        refresh: Seconds after which a browser loads the page again.
        credit: Who made the results, for the bundle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = report.results
    if "csv" in formats:
        write_text(folder / "arms.csv", files.arms_csv(results))
        write_text(folder / "runs.csv", files.runs_csv(results))
        if layers := files.layers_csv(results):
            write_text(folder / "layers.csv", layers)
    wanted = {"md", "bundle"} & {*formats}
    table = files.markdown(results, report.sentences, report.figures) if wanted else ""
    if "md" in formats:
        write_text(folder / "table.md", table)
    if "tex" in formats:
        write_text(folder / "table.tex", files.latex(results))
    if "bundle" in formats:
        write_bundle(results, table, folder / BUNDLE, credit)
    if not _PICTURES.isdisjoint(formats):
        from etude.report.pictures import write_pictures  # noqa: PLC0415 (not needed for the tables)

        said = results, report.sentences, report.figures
        write_pictures(*said, folder, formats, refresh)
