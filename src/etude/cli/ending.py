"""The end of a sweep or a study: what came of it, which imports what only reports need."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from etude.base.errors import UserError
from etude.cli.credit import credit
from etude.cli.job import ComposedJob
from etude.cli.outcomes import outputs_needed
from etude.cli.study import Study
from etude.cli.terminal import announce_report, console, show_end
from etude.report.bundle.write import BUNDLE
from etude.report.rounds import told, undecided
from etude.report.table import show_short
from etude.report.write import make, write
from etude.runs.records import read_summary
from etude.runs.state import RunState
from etude.runs.status import status


def report_study(folder: Path) -> None:
    """End a study by writing its report."""
    with outputs_needed():
        write(make([folder]), report := folder / "report", credit=credit())
    announce_report(report / "report.html", report / BUNDLE)


def look(study: Study, jobs: Sequence[ComposedJob]) -> Mapping[str, int] | None:
    """End a round of a study's seeds by telling what is decided.

    Args:
        study: With the seeds that each arm has in this round.
        jobs: Those of this round and of the earlier ones; other runs that there are do not count,
            so that the same command comes to the same rounds.

    Returns:
        Of each arm the seeds that it has in the next; None if there is no next one.
    """
    states = [status(job.folder).state for job in jobs]
    if any(state.left and state is not RunState.DIVERGED for state in states):
        return None
    number = study.looks.index(max(study.counts.values())) + 1
    results = make([job.folder for job in jobs]).results
    console.print(told(results, number, study.looks), markup=False)
    wanting = [arm for arm in undecided(results) if arm in study.counts]
    if not wanting or number == len(study.looks):
        return None
    return {**study.counts, **dict.fromkeys(wanting, study.looks[number])}


def compare_jobs(jobs: Sequence[ComposedJob]) -> None:
    """End a sweep by saying which arm leads and whether that is sure, and where to look further."""
    begun = [job.folder for job in jobs if read_summary(job.folder) is not None]
    if not begun:
        return
    with suppress(UserError):  # runs on different data are not compared
        report = make(begun)
        show_short(console, report.results, report.sentences)
    show_end(Path(os.path.commonpath([folder.parent for folder in begun])))
