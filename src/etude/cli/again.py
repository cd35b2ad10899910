"""A run done again from its own folder: what it is made of, what is different today, the doing."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from etude.base import startup
from etude.base.errors import UserError
from etude.base.lazy import torch
from etude.base.threads import bound_spinning
from etude.cli.bar import Bar
from etude.cli.from_folder import Given, device_for, job_of
from etude.cli.job import ComposedJob
from etude.cli.outcomes import finished, outputs_needed, result
from etude.cli.run_job import result_of
from etude.config import settings, source_of
from etude.config.build import import_from
from etude.launch.machine import gpu_names
from etude.preflight.checks import inspect
from etude.runs.composed import config_dir_of
from etude.runs.environment import environment, read_environment
from etude.runs.identity import check_identity, differences
from etude.runs.names import CONFIG, SUMMARY
from etude.runs.records import Summary, read_summary
from etude.runs.today import Changed, changed, way_back
from etude.train import weights

log = logging.getLogger(__name__)

_MOST_THREADS = 1024
_DATA = "--data FOLDER says where its images are on this machine"
_WEIGHTS = "--weights PATH says where they are on this machine"


@dataclass(frozen=True)
class Again:
    """A run that is to be done again.

    Attributes:
        source: Its folder.
        job: What is to be done; None where that cannot be known.
        texts: For the new folder, by path.
        changed: What is not as it was.
        way_back: Commands that bring it back.
        problems: Why it cannot be done.
        threads: That it had on a CPU, if it is to be done on one; other sums round otherwise.
    """

    source: Path
    job: ComposedJob | None
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    changed: Sequence[Changed] = ()
    way_back: Sequence[str] = ()
    problems: Sequence[str] = ()
    threads: int | None = None


def plan(source: Path, given: Given) -> Again:
    """Find out what a folder's run is, and what is different today; nothing is written.

    Raises:
        UserError: It is no run's folder.
    """
    summary = read_summary(source)
    if summary is None:
        raise UserError(f"{source} has no {SUMMARY} that can be read; give the folder of one run")
    import_from(Path.cwd(), *([] if given.config_dir is None else [given.config_dir]))
    then = read_environment(source)
    found = [*changed(then, environment()), *_elsewhere(source, summary, given)]
    again = Again(
        source,
        None,
        changed=found,
        way_back=way_back(then, found),
        threads=_threads(summary) if _stays_on_cpu(summary, given) else None,
    )
    try:
        job, texts = job_of(source, summary, given)
    except UserError as error:
        return replace(again, problems=[_with_hint(line) for line in str(error).splitlines()])
    if not finished(job) and (missing := _missing(job)):  # its folder's name cannot be known
        return replace(again, problems=[missing])
    return replace(again, job=job, texts=texts, problems=list(_problems(again, job, given)))


def carry_out(again: Again, job: ComposedJob, *, quiet: bool) -> Mapping[str, Any]:
    """Train the run, or go on with it, or take it as it was finished before; give its summary.

    Raises:
        UserError: It cannot be trained here.
        Unwritable: Its results cannot be written.
        Exception: Whatever a run ends with; see `etude.train.run.run`.
    """
    bound_spinning()
    startup.begin()
    startup.mark("configuration")
    with outputs_needed():
        if (done := result(job)) is not None:
            log.info("finished before, and left as it is; another --outputs does it again")
            return done
        inspect([job.config], {str(job.folder)})
        if again.threads is not None:
            torch.set_num_threads(again.threads)
        return result_of(job, again.texts, gains=False, display=partial(Bar, hidden=quiet))


def _elsewhere(source: Path, summary: Summary, given: Given) -> Iterator[Changed]:
    """Tell of a device, threads and a folder that are not what, or where, they were."""
    then = summary.get("device", "cpu")
    here = "" if device_for(then, given) == "cpu" else ", ".join(gpu_names())
    if then not in (here or "cpu").split(", "):
        yield Changed("device", then, here or "cpu")
    if _stays_on_cpu(summary, given) and _threads(summary) is None:
        yield Changed("threads", "not recorded", "as PyTorch has them")
    own = config_dir_of(source)
    if own is not None and not own.is_dir():
        yield Changed("--config-dir", str(own), f"not here; its values are in {CONFIG}")


def _threads(summary: Summary) -> int | None:
    """Give a CPU's threads, if a run tells of any that there may have been."""
    told = summary.get("threads", 0)
    return told if 0 < told <= _MOST_THREADS else None


def _stays_on_cpu(summary: Summary, given: Given) -> bool:
    then = summary.get("device", "cpu")
    return then == device_for(then, given) == "cpu"


def _problems(again: Again, job: ComposedJob, given: Given) -> Iterator[str]:
    """Yield why a run cannot be done again here and now."""
    summary = read_summary(again.source)
    if again.source.resolve() in job.folder.resolve().parents:
        yield f"--outputs {given.outputs} is inside of {again.source}, which is only read"
        return
    try:
        check_identity(job.folder, job.identity)
    except UserError as error:
        yield str(error)
        return
    if job.folder.exists() and job.folder.samefile(again.source) and not finished(job):
        yield (
            f"{again.source} is this run's own place, and it is not finished; give its command "
            "again to go on with it, or --outputs with another folder to begin anew"
        )
    other = list(differences(summary, job.identity)) if summary else []
    if other and not given.anyway:
        yield (
            f"{again.source} was made with {', '.join(other)}, so that this would be another run; "
            "bring back what it was made with, or do it with --anyway"
        )


def _missing(job: ComposedJob) -> str:
    """Say what of a run's data and weights is not on this machine; nothing if all is."""
    dataset = settings(job.config.dataset)
    try:
        source_of(job.config).facts()
    except UserError as error:
        return f"{error}; {_DATA}" if "root" in dataset else str(error)
    try:
        weights.find(weights.WeightsSource.of(settings(job.config.init)))
    except UserError as error:
        return _with_hint(str(error))
    return ""


def _with_hint(problem: str) -> str:
    """Say which option helps where weights are missing."""
    return f"{problem}; {_WEIGHTS}" if "init.weights" in problem else problem
