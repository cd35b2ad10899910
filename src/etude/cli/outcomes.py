"""What several jobs came to, whichever launcher ran them, and the exit code that follows."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from etude.base.errors import UserError
from etude.base.text import counted, first_line
from etude.cli.job import ComposedJob
from etude.cli.refusals import missing_extra
from etude.cli.terminal import complain, errors
from etude.runs.claim import wait_while_claimed
from etude.runs.notify import notify, of_many
from etude.runs.records import Summary, read_summary
from etude.runs.state import RunState
from etude.runs.status import state_of, status


def finished(job: ComposedJob) -> bool:
    """Say whether a job has been done, and is not to be done again."""
    return result(job) is not None


def result(job: ComposedJob) -> Summary | None:
    """Give the summary of a job that has been done, and is not to be done again."""
    summary = None if job.config.fresh else read_summary(job.folder)
    return summary if state_of(summary).has_result else None


def name(job: ComposedJob) -> str:
    """Call a study's run by its arm and its seed; an empty text if it belongs to no study."""
    return f"{job.label}, seed {job.config.seed}" if job.label else ""


def exit_code_of(planned: Sequence[ComposedJob]) -> int:
    """Give the exit code of several jobs, and say how many diverged, and how many are left."""
    states, runs = [status(job.folder).state for job in planned], counted(len(planned), "run")
    diverged = states.count(RunState.DIVERGED)
    unfinished = sum(state.left for state in states) - diverged
    if diverged:
        complain(
            f"{diverged} of {runs} diverged: that is their result, and the same "
            "command comes to it again"
        )
    if unfinished:
        complain(f"{unfinished} of {runs} did not finish; the same command goes on")
    return 1 if diverged or unfinished else 0


def tell(planned: Sequence[ComposedJob]) -> None:
    """Tell whom it may concern what several jobs came to."""
    states = Counter(str(status(job.folder).state) for job in planned)
    notify(planned[0].config.record.notify, of_many(planned[0].folder.parent, states))


class Unwritable(Exception):  # noqa: N818
    """Results cannot be written."""


@contextmanager
def outputs_needed() -> Generator[None]:
    """Turn the system's word that results cannot be written into one line.

    Raises:
        Unwritable: They cannot.
    """
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{error}; results go below outputs/, or below ETUDE_OUTPUTS") from error


@contextmanager
def launcher_needed() -> Generator[None]:
    """Tell in one line of a launcher that failed; what its jobs came to is in their folders.

    Raises:
        UserError: It is not installed.
    """
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException, OSError):
        raise
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            errors.print_exception()
        if (missing := missing_extra(str(error))) is not None:
            raise UserError(missing) from error
        complain(
            f"the launcher lost a job ({type(error).__name__}: {first_line(error)}); "
            "others may still be at work where it put them"
        )


def launch_all(
    planned: Sequence[ComposedJob], launch: Callable[[Sequence[ComposedJob]], None]
) -> None:
    """Launch jobs, so that one that a launcher loses does not cost the others.

    submitit's launcher gives up on all jobs with the first that is lost. So those that have not
    begun are launched again, and those that have are waited for.

    Args:
        planned: The jobs.
        launch: Launches some of them, and waits.
    """
    left: Sequence[ComposedJob] = planned
    while left:
        with launcher_needed():
            launch(left)
            return
        for job in planned:
            if job.folder.exists():
                wait_while_claimed(job.folder)
        begun_before, left = left, [job for job in left if read_summary(job.folder) is None]
        if len(left) == len(begun_before):
            return
