"""What a launcher calls for each job, and what the jobs came to."""

import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from etude import jobs
from etude.console import complain, errors, near, show_outcome, show_summary
from etude.errors import UserError
from etude.explain import missing_extra
from etude.jobs import Job
from etude.record.folder import Busy, read_summary, remove_if_empty, wait_while_claimed
from etude.search.job import metric_of, pruner_of
from etude.stop import INTERRUPTED, PREEMPTED, Pruned, Requeued

log = logging.getLogger(__name__)


def finished(job: Job) -> bool:
    """Say whether a job has been done, and is not to be done again."""
    summary = read_summary(job.folder) or {}
    return summary.get("state") == "finished" and not job.config.fresh


def outcome(job: Job) -> tuple[str, str, float | None, str]:
    """Give a job's folder, state, test accuracy and remark, whichever launcher ran it."""
    summary = read_summary(job.folder) or {"state": "not started"}
    accuracy = summary.get("final", {}).get("test_accuracy")
    return job.folder.name, summary["state"], accuracy, summary.get("error", "")


def verdict(planned: Sequence[Job]) -> int:
    """Give the exit code of several jobs, and say how many did not finish."""
    unfinished = sum(outcome(job)[1] not in {"finished", "pruned"} for job in planned)
    if unfinished:
        complain(f"{unfinished} of {len(planned)} runs did not finish; the same command goes on")
    return 1 if unfinished else 0


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
        first_line = str(error).strip().partition("\n")[0]
        complain(
            f"the launcher lost a job ({type(error).__name__}: {first_line}); "
            "others may still be at work where it put them"
        )


def launch_all(planned: Sequence[Job], launch: Callable[[Sequence[Job]], None]) -> None:
    """Launch jobs, so that one that a launcher loses does not cost the others.

    Ray gives up on all jobs with the first that is lost, and ends them with this process. So those
    that have not begun are launched again, and those that have are waited for.

    Args:
        planned: The jobs.
        launch: Launches some of them, and waits.
    """
    left: Sequence[Job] = planned
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


class Worker:
    """What Hydra calls for each job: trains it, and keeps its failure from ending the others.

    Args:
        several: Whether it is one job of a sweep.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self.exit_code = 0

    def __call__(self, task: DictConfig) -> float | None:
        """Do one job; give its result, as Hydra's sweepers expect, or None if there is none.

        The result is the test accuracy, or what a search asks for.
        """
        hydra = cast("DictConfig", HydraConfig.get())
        folder = Path(hydra.runtime.output_dir)
        if self.several:
            log.info("\nrun %s  %s", hydra.job.num, folder.name)
        try:
            return self._work(task, hydra, folder)
        except UserError as error:
            complain(error)
            self.exit_code = 2
        except Pruned as pruned:
            log.info("%s", pruned)
        except Busy as error:
            complain(error)
            self.exit_code = 1
        except SystemExit as error:
            if isinstance(error, Requeued) or error.code in {PREEMPTED, INTERRUPTED}:
                raise
            _complain_of_failure(error, folder)  # a part of the run's own
            self.exit_code = 1
        except Exception as error:  # noqa: BLE001 (told in one line, whatever it is)
            _complain_of_failure(error, folder)
            self.exit_code = 1
        finally:
            remove_if_empty(folder)
        return None

    def _work(self, task: DictConfig, hydra: DictConfig, folder: Path) -> float:
        job = jobs.make(task, hydra, folder)
        if metric_of(hydra):
            wait_while_claimed(folder)  # a launcher that failed may have left a trial at work
        summary = read_summary(folder)
        if summary is not None and finished(job):
            _tell_what_changed(folder)
        else:
            from etude.run import run  # noqa: PLC0415 (imports torch)

            texts = jobs.texts(task, hydra)
            pruner = pruner_of(hydra)
            summary = run(
                job.config,
                folder,
                texts=texts,
                arm=job.arm,
                documented=job.documented,
                hopeless=pruner and pruner.hopeless,
            )
        if self.several:
            show_outcome(summary)
        else:
            show_summary(summary, folder)
        return summary["final"][metric_of(hydra) or "test_accuracy"]


def _tell_what_changed(folder: Path) -> None:
    """Say that a run was done before, and what it was made with that is different now."""
    from etude.record.environment import since  # noqa: PLC0415

    log.info("finished before; fresh=true trains it again")
    for change in since(folder):
        log.warning("since then: %s", change)


def _complain_of_failure(error: BaseException, folder: Path) -> None:
    """Tell of an error in one line; those that explain themselves bring notes."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        errors.print_exception()
    notes = getattr(error, "__notes__", None)
    if notes:
        complain("; ".join([str(error), *notes]))
    else:
        first_line = str(error).partition("\n")[0]
        complain(f"{type(error).__name__}: {first_line}; traceback: {near(folder / 'run.log')}")
