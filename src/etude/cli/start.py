"""From checked words to work under way: one run, a sweep, a study or a search."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

from hydra.types import RunMode

from etude.base import startup
from etude.base.errors import UserError
from etude.base.in_subprocess import in_subprocess
from etude.cli import launching, study_jobs, sweeps
from etude.cli import search as searches
from etude.cli.bar import bars
from etude.cli.compose import Composer
from etude.cli.job import ComposedJob, PlannedJobs
from etude.cli.outcomes import (
    exit_code_of,
    finished,
    launch_all,
    launcher_needed,
    name,
    outputs_needed,
    tell,
)
from etude.cli.run_job import RunJob
from etude.cli.run_tables import show_runs, show_sweep
from etude.cli.study import Study
from etude.cli.terminal import (
    announce_study,
    announce_time,
    remark,
    show_arms,
)
from etude.cli.words import options
from etude.config import Config
from etude.launch import machine
from etude.launch.job import JobFailed, labels
from etude.launch.slots import threads
from etude.preflight.checks import inspect
from etude.runs.identity import check_identity, kin
from etude.runs.records import read_rows
from etude.runs.state import RunState
from etude.runs.status import current_summary, note, status
from etude.runs.study import PlannedRun, write_plan

_SHOWS_RUNS = ".LocalLauncher"  # ends with a table of its own


@bars()
def start(composer: Composer, words: list[str], *, multirun: bool, dry_run: bool) -> int:
    """Check all jobs that a command's words stand for, then start the first.

    Args:
        composer: Composes them.
        words: The command's.
        multirun: Whether a sweep was asked for; a configuration may ask for it, too.
        dry_run: Whether to list the jobs and start none.

    Returns:
        The exit code.

    Raises:
        UserError: One could not be done, and none has been started.
        HydraException: One cannot be composed.
    """
    if study_jobs.names_study(words):
        remark(*sweeps.repeated(composer.loader, words))
        if (search := searches.of_study(composer, words)) is not None:
            return searches.launch(composer, search, dry_run=dry_run)
        return _launch_study(composer, words, dry_run=dry_run)
    if sweeps.is_written_so(words):
        if not multirun:
            sweeps.refuse_without_sweep(words)
        return _begin(composer, sweeps.plan(composer, words), sweep=True, dry_run=dry_run)
    mode = composer.loader.base(words, RunMode.MULTIRUN if multirun else RunMode.RUN)
    sweep = multirun or mode.copy().hydra.mode == RunMode.MULTIRUN
    if sweep and (search := searches.of_words(composer, words)) is not None:
        remark(*sweeps.repeated(composer.loader, words))
        return searches.launch(composer, search, dry_run=dry_run)
    planned = composer.sweep(words) if sweep else composer.run(words)
    if sweep:
        planned.remarks.extend(sweeps.repeated(composer.loader, words))
    return _begin(composer, planned, sweep=sweep, dry_run=dry_run)


def _begin(composer: Composer, planned: PlannedJobs, *, sweep: bool, dry_run: bool) -> int:
    startup.mark("configuration")
    inspect_jobs(planned)
    if sweep:
        composer.launcher = str(planned.master.hydra.launcher._target_)
    if dry_run:
        return _list(planned.jobs)
    return _sweep(composer, planned) if sweep else _run(composer, planned)


def _run(composer: Composer, planned: PlannedJobs) -> int:
    run_job = RunJob(composer, several=False)
    with outputs_needed():
        launching.run(composer.loader, planned.master, run_job)
    return run_job.exit_code


def _sweep(composer: Composer, planned: PlannedJobs) -> int:
    run_job = RunJob(composer, several=True)
    with outputs_needed():
        note(_wanted(planned.jobs))
        # The launcher has told of failures, and the verdict is in the runs' folders.
        with suppress(JobFailed), launcher_needed():
            composer.launch(planned, planned.jobs, run_job)
    if not str(planned.master.hydra.launcher._target_).endswith(_SHOWS_RUNS):
        show_sweep([status(*wanted) for wanted in _wanted(planned.jobs)])
    from etude.cli.ending import compare_jobs  # noqa: PLC0415 (takes its time)

    compare_jobs(planned.jobs)
    tell(planned.jobs)
    return exit_code_of(planned.jobs)


def _launch_study(composer: Composer, words: list[str], *, dry_run: bool) -> int:
    """Run a study, after the runs that choose its arms' rates where there are such."""
    study, planned = study_jobs.plan(composer, words)
    code = _carry_out(composer, words, study, planned, dry_run=dry_run)
    if not study.chooses or dry_run:
        return code
    study, planned = study_jobs.plan(composer, words)
    if study.chooses:  # some of those runs are still to be made
        return code
    return _carry_out(composer, words, study, planned, dry_run=False)


def _carry_out(
    composer: Composer, words: list[str], study: Study, planned: PlannedJobs, *, dry_run: bool
) -> int:
    """Say what a study asks and what it will take, run it, and tell how its arms compare."""
    jobs = planned.jobs
    composer.launcher = str(planned.master.hydra.launcher._target_)
    _inspect_study(planned)
    waiting = [job for job in jobs if not finished(job)]
    announce_study(study, runs=len(jobs), waiting=[job.config.epochs for job in waiting])
    if dry_run:
        return _list(jobs)
    _make(composer, words, study, planned)
    from etude.cli.ending import look, report_study  # noqa: PLC0415 (takes its time)

    while study.looks and (counts := look(study, jobs)) is not None:
        study, planned = study_jobs.plan(composer, words, counts)
        jobs = planned.jobs
        _inspect_study(planned)
        _make(composer, words, study, planned)
    show_arms(
        study,
        [(job.label, current_summary(job.folder), read_rows(job.folder)) for job in jobs],
    )
    report_study(jobs[0].folder.parent)
    tell(jobs)
    return exit_code_of(jobs)


def _inspect_study(planned: PlannedJobs) -> None:
    try:
        inspect_jobs(planned)
    except UserError as error:
        if "init.weights=imagenet" in str(error):
            raise UserError(f"{error}; or leave out those arms: pretrained=false") from error
        raise


def _make(composer: Composer, words: list[str], study: Study, planned: PlannedJobs) -> None:
    """Make a study's runs, or those of a round of its seeds that are not made yet."""
    jobs = planned.jobs
    waiting = [job for job in jobs if not finished(job)]
    seconds = _expect(waiting)
    if seconds:
        announce_time(sum(seconds.values()))
    run_job = RunJob(composer, several=True, seconds=seconds)
    with outputs_needed():
        runs = {job.folder.name: PlannedRun(arm=job.label, seed=job.config.seed) for job in jobs}
        command = [*options(composer.loader), *words]
        write_plan(jobs[0].folder.parent, study.plan(runs, command))
        note(_wanted(jobs))
        if study.looks:  # what diverged has done so in an earlier round
            jobs = [job for job in waiting if status(job.folder).state is not RunState.DIVERGED]
        if jobs:
            launch_all(jobs, lambda left: composer.launch(planned, left, run_job))


def _list(planned: list[ComposedJob]) -> int:
    """Tell where runs stand and what they will still take, one after the other."""
    seconds = _expect([job for job in planned if not finished(job)])
    runs = [status(*wanted) for wanted in _wanted(planned)]
    shares = [1 - run.epoch / run.epochs if run.epochs else 1.0 for run in runs]
    lefts = [seconds.get(run.folder, 0.0) * share for run, share in zip(runs, shares, strict=True)]
    show_runs(runs, lefts)
    return 0


def _expect(waiting: list[ComposedJob]) -> dict[Path, float]:
    """Estimate the seconds of each run from its beginning; nothing if that cannot be done.

    It is measured in another process: the network may be a user's own, and may do anything.
    """
    if not waiting:
        return {}
    measure = partial(_measure, [job.config for job in waiting])
    share = threads(cores=machine.cores(), places=1, environment=os.environ)
    seconds = in_subprocess(measure, threads=share)
    return (
        {} if seconds is None else dict(zip((job.folder for job in waiting), seconds, strict=True))
    )


def _measure(configs: list[Config]) -> list[float]:
    from etude.preflight.estimate import seconds_of_each  # noqa: PLC0415 (imports torch)

    return seconds_of_each(configs)


def _wanted(planned: list[ComposedJob]) -> list[tuple[Path, str, int]]:
    """Give folders, names and epochs; a sweep's runs are called by what differs between them."""
    differing = labels([job.words for job in planned]) if len(planned) > 1 else [""]
    return [
        (job.folder, name(job) or own, job.config.epochs)
        for job, own in zip(planned, differing, strict=True)
    ]


def inspect_jobs(planned: PlannedJobs) -> None:
    """Tell what is to be known of jobs, and refuse what could not be made.

    Raises:
        UserError: A folder holds another run, or a job could not be trained.
    """
    remark(*planned.remarks)
    for job in planned.jobs:
        if job.config.fresh:
            continue
        check_identity(job.folder, job.identity)
        if not job.folder.exists():
            remark(*kin(job.folder, job.identity))
    here = [job.config for job in planned.jobs if job.local and not finished(job)]
    inspect(here, {str(job.folder) for job in planned.jobs})
