"""What a launcher calls for each job, and what the jobs came to."""

import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from etude import jobs, startup
from etude.bar import Bar
from etude.config import settings
from etude.config.schema import GROUPS
from etude.console import complain, errors, near, show_outcome, show_summary
from etude.errors import UserError
from etude.explain import missing_extra
from etude.jobs import Job
from etude.launch.task import About, Progress
from etude.record.environment import since
from etude.record.folder import Busy, read_summary, remove_if_empty, wait_while_claimed
from etude.search.job import metric_of, pruner_of
from etude.standing import standing
from etude.stop import INTERRUPTED, PREEMPTED, Pruned, Requeued

log = logging.getLogger(__name__)


def finished(job: Job) -> bool:
    """Say whether a job has been done, and is not to be done again."""
    summary = read_summary(job.folder) or {}
    return summary.get("state") == "finished" and not job.config.fresh


def name(job: Job) -> str:
    """Call a study's run by its arm and its seed; an empty text if it belongs to no study."""
    return f"{job.label}, seed {job.config.seed}" if job.label else ""


def outcome(job: Job) -> tuple[str, str, float | None, str]:
    """Give a job's folder, state, test accuracy and remark, whichever launcher ran it."""
    run = standing(job.folder)
    accuracy = run.accuracy if run.state == "finished" else None
    return job.folder.name, run.state, accuracy, run.error


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

    `about`, `memory`, `progress`, `preload` and `exit_code` are what the local launcher may ask
    for, see `etude.launch.task`; other launchers do without.

    Args:
        several: Whether it is one job of a sweep.
        planned: The jobs that are to be done, where that is known.
        seconds: That jobs are expected to take, by folder, if somebody has measured.
    """

    def __init__(
        self,
        *,
        several: bool,
        planned: Sequence[Job] = (),
        seconds: Mapping[Path, float] | None = None,
    ) -> None:
        self.several = several
        self.exit_code = 0
        self.preload = _modules([job for job in planned if not finished(job)])
        self._names = {job.folder.absolute(): name(job) for job in planned if job.label}
        self._seconds = {path.absolute(): time for path, time in (seconds or {}).items()}
        self._told: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Take along what names the jobs, for the process that does one of them."""
        return {**vars(self), "_known": jobs.known()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        jobs.remember(state.pop("_known"))
        vars(self).update(state)

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

    def about(self, composed: DictConfig) -> About:
        """Tell the local launcher of a job before it starts."""
        config, folder = jobs.composed_config(composed)
        summary = read_summary(folder) or {}
        done = summary.get("state") == "finished" and not config.fresh
        hydra = cast("DictConfig", composed.hydra)
        if done:
            self._tell_once(since(folder))
        begins_with = settings(config.init).get("weights")
        return About(
            finished=done,
            result=summary["final"][metric_of(hydra) or "test_accuracy"] if done else None,
            cost=self._seconds.get(folder, float(config.epochs)),
            after=(Path(begins_with).absolute(),) if begins_with else (),
            label=self._names.get(folder, ""),
            device=config.device,
        )

    def memory(self, composed: DictConfig) -> int | None:
        """Predict the bytes that a job needs on a GPU."""
        from etude.footprint import predicted  # noqa: PLC0415 (imports torch)

        return predicted(jobs.composed_config(composed)[0])

    def progress(self, composed: DictConfig) -> Progress:
        """Tell how far a job is, from its folder."""
        folder = Path(composed.hydra.runtime.output_dir)
        run = standing(folder, epochs=max(1, round(composed.train.epochs * composed.scale)))
        return Progress(
            done=run.epoch / run.epochs if run.epochs else None,
            text=f"epoch {run.epoch}/{run.epochs}",
            score="" if run.accuracy is None else f"accuracy {run.accuracy:.4f}",
            seconds_left=run.seconds_left,
        )

    def _tell_once(self, changes: Sequence[str]) -> None:
        for change in changes:
            if change not in self._told:
                log.warning("since some of the finished runs: %s", change)
        self._told.update(changes)

    def _work(self, task: DictConfig, hydra: DictConfig, folder: Path) -> float:
        startup.begin()
        job = jobs.make(task, hydra, folder)
        startup.mark("job")
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
                display=Bar,
                hopeless=pruner and pruner.hopeless,
            )
        if self.several:
            show_outcome(summary)
        else:
            show_summary(summary, folder)
        return summary["final"][metric_of(hydra) or "test_accuracy"]


def _modules(planned: Sequence[Job]) -> tuple[str, ...]:
    """Name what the jobs import only when they need it, so that a fork server does it once."""
    parts = [getattr(job.config, group) for job in planned for group in GROUPS]
    built = {str(settings(part)["_target_"]).rpartition(".")[0] for part in parts}
    modules = {"etude.run", *(name for name in built if name.startswith("etude."))}
    modules.add("torch._dynamo")  # the first step of an optimizer imports it, for a second
    if any(job.config.record.tensorboard for job in planned):
        modules.add("etude.record.events")
    if any(job.config.record.curves for job in planned):
        modules |= {"matplotlib.backends.backend_agg", "matplotlib.figure"}
    return tuple(sorted(modules))


def _tell_what_changed(folder: Path) -> None:
    """Say that a run was done before, and what it was made with that is different now."""
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
