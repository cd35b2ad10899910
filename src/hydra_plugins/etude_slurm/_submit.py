"""Jobs on their way into SLURM's queue, and those that an earlier command put there."""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from logging import NullHandler, getLogger
from pathlib import Path
from typing import Any, NamedTuple, cast

import submitit
from hydra.errors import CompactHydraException
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths

from etude.base.text import first_line
from etude.launch.squeue import ask, is_ahead, is_at_work
from etude.runs.records import read_json, write_json
from hydra_plugins.etude_slurm._job import Call

_NOTE = "_run.json"  # after a job's id, beside submitit's own files
# What submitit takes for every kind of cluster; all else is named `slurm_…`.
_SHARED = {
    "name", "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes",
    "stderr_to_stdout",
}  # fmt: skip


class Wanted(NamedTuple):
    """A job by what it comes to: where it writes, and its words."""

    folder: Path
    words: tuple[str, ...]


def make_executor(settings: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Make what submits jobs.

    Raises:
        CompactHydraException: There is no SLURM here, or it does not know a setting.
    """
    logger = getLogger("submitit")  # which would write into the table, and more than once
    logger.handlers, logger.propagate = [NullHandler()], False
    own = {key: value for key, value in settings.items() if key != "submitit_folder"}
    countdown = own.pop("max_num_timeout", 0)
    try:
        executor = submitit.AutoExecutor(
            settings["submitit_folder"], cluster="slurm", slurm_max_num_timeout=countdown
        )
        executor.update_parameters(
            **{key if key in _SHARED else f"slurm_{key}": value for key, value in own.items()}
        )
    except RuntimeError as error:
        raise CompactHydraException(
            "hydra/launcher=slurm finds no srun here; give the command where sbatch works, or try "
            "it without a cluster by hydra/launcher=slurm_local"
        ) from error
    except (ValueError, NameError) as error:
        raise CompactHydraException(f"hydra.launcher: {error}") from error
    return executor


def submit(
    executor: submitit.AutoExecutor, calls: Sequence[Call], wanted: Sequence[Wanted]
) -> list[JobPaths]:
    """Put jobs into the queue, as one array; give where each one's files are.

    Raises:
        CompactHydraException: SLURM refused them.
    """
    if not calls:
        return []
    try:
        with redirect_stderr(io.StringIO()):  # submitit prints there what it raises as well
            jobs = executor.submit_array(list(calls))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        raise CompactHydraException(f"SLURM refused the jobs: {first_line(error)}") from error
    paths = [job.paths for job in jobs]
    for path, own in zip(paths, wanted, strict=True):
        note = {"folder": str(own.folder), "words": list(own.words)}
        write_json(path.folder / f"{path.job_id}{_NOTE}", note)
    return paths


def submitted_before(folder: str, wanted: Sequence[Wanted]) -> dict[Wanted, JobPaths]:
    """Find the jobs that are in the queue since an earlier command, or at work.

    Args:
        folder: Where submitit keeps its files.
        wanted: What is to be done.
    """
    noted: dict[str, Wanted] = {}
    for path in JobPaths.get_first_id_independent_folder(folder).rglob(f"*{_NOTE}"):
        note = cast("dict[str, Any]", read_json(path) or {"folder": "", "words": []})
        own = Wanted(Path(note["folder"]), tuple(note["words"]))
        if own in wanted:
            noted[path.name.removesuffix(_NOTE)] = own
    states = ask(noted) or {}
    alive = [job for job in noted if is_ahead(states[job]) or is_at_work(states[job])]
    return {noted[job]: JobPaths(folder, job_id=job, task_id=0) for job in alive}
