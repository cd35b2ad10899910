"""The end of a sweep or a study: what came of it, which imports what only reports need."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from etude.base.errors import UserError
from etude.cli.credit import credit
from etude.cli.job import ComposedJob
from etude.cli.outcomes import outputs_needed
from etude.cli.terminal import announce_report, console, show_end
from etude.report.bundle.write import BUNDLE
from etude.report.table import show_short
from etude.report.write import make, write
from etude.runs.records import read_summary


def report_study(folder: Path) -> None:
    """End a study by writing its report."""
    with outputs_needed():
        write(make([folder]), report := folder / "report", credit=credit())
    announce_report(report / "report.html", report / BUNDLE)


def compare_jobs(jobs: Sequence[ComposedJob]) -> None:
    """End a sweep by saying which arm leads and whether that is sure, and where to look further."""
    begun = [job.folder for job in jobs if read_summary(job.folder) is not None]
    if not begun:
        return
    with suppress(UserError):  # runs on different data are not compared
        report = make(begun)
        show_short(console, report.results, report.sentences)
    show_end(Path(os.path.commonpath([folder.parent for folder in begun])))
