"""What a launcher calls for each job: trains it, or shows it where it was done before."""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from etude.base import startup
from etude.base.errors import INTERRUPTED, PREEMPTED, UserError
from etude.base.text import first_line
from etude.cli.bar import Bar
from etude.cli.compose import Composer
from etude.cli.job import ComposedJob, texts
from etude.cli.outcomes import finished, name, result
from etude.cli.terminal import complain, errors, near, show_outcome, show_summary
from etude.config import Config, settings
from etude.config.build import import_folders, import_from
from etude.config.schema import GROUPS
from etude.launch.task import About, Progress
from etude.preflight.contents import changed
from etude.runs.claim import Busy, remove_if_empty, wait_while_claimed
from etude.runs.environment import since
from etude.runs.names import RUN_LOG
from etude.runs.status import status
from etude.search.job import metrics_of, pruner_of
from etude.search.outcome import Unfinished, unfinished
from etude.train.stop import Pruned, Requeued, heed_submitit

if TYPE_CHECKING:
    from etude.train.run import Judge, MakeDisplay

log = logging.getLogger(__name__)

_HINTS = {
    "DataLoader worker": "a process that decodes images was killed, as for memory: a smaller "
    "train.batch_size or dataset.load_size may help; the same command goes on",
    "out of memory": "train.accumulate=auto, or more parts than it takes, or a smaller "
    "train.batch_size, may help",
    "can't allocate memory": "a smaller train.batch_size, or train.accumulate, may help",
    "more than 1 value per channel": "batch norm has nothing to average over in a batch, or a part "
    "of one, of one image; another train.batch_size or train.accumulate leaves none",
    "disk is full": "make room, and the same command goes on from its last checkpoint",
}


class RunJob:
    """What Hydra calls for each job: trains it, and keeps its failure from ending the others.

    `about`, `memory`, `progress`, `alone`, `preload` and `exit_code` are what Étude's launchers may
    ask for, see `etude.launch.task`; others do without.

    Args:
        composer: Knows the jobs, by their words.
        several: Whether it is one job of a sweep.
        seconds: That jobs are expected to take, by folder, if somebody has measured.
    """

    def __init__(
        self, composer: Composer, *, several: bool, seconds: Mapping[Path, float] | None = None
    ) -> None:
        self.several = several
        self.exit_code = 0
        self._composer = composer
        planned = [job for job, _ in composer.jobs.values()]
        self.preload = _modules([job for job in planned if not finished(job)])
        self._seconds = {path.absolute(): time for path, time in (seconds or {}).items()}
        self._told: set[str] = set()

    def __getstate__(self) -> dict[str, object]:
        """Take along where a user's own packages are."""
        return {**vars(self), "_folders": import_folders()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import_from(*state.pop("_folders"))
        vars(self).update(state)

    def __call__(self, task: DictConfig) -> float | list[float] | Unfinished | None:
        """Do one job; give its result, as Hydra's sweepers expect, or None if there is none.

        The result is the test accuracy, or what a search asks for; which is told as well if its
        trial is to be gone on with later.
        """
        hydra = cast("DictConfig", HydraConfig.get())
        folder = Path(hydra.runtime.output_dir)
        heed_submitit()
        if self.several:
            log.info("\nrun %s  %s", hydra.job.num, folder.name)
        try:
            return self._work(task, hydra, folder)
        except UserError as error:
            complain(error)
            self.exit_code = error.code
        except Pruned as pruned:
            log.info("%s", pruned)
        except Busy as error:
            complain(error)
            self.exit_code = 1
        except SystemExit as error:
            if isinstance(error, Requeued) or error.code in {PREEMPTED, INTERRUPTED}:
                raise
            complain_of_failure(error, folder)  # a part of the run's own
            self.exit_code = 1
        except Exception as error:  # noqa: BLE001 (told in one line, whatever it is)
            complain_of_failure(error, folder)
            self.exit_code = 1
            return unfinished(error) if metrics_of(hydra) else None
        finally:
            remove_if_empty(folder)
        return None

    def about(self, composed: DictConfig) -> About:
        """Tell the local launcher of a job before it starts."""
        hydra = cast("DictConfig", composed.hydra)
        folder = Path(hydra.runtime.output_dir)
        job = replace(self._composer.known(hydra), folder=folder)
        summary = result(job)
        if summary is not None:
            self._tell_once(since(folder))
        begins_with = settings(job.config.init).get("weights")
        return About(
            finished=summary is not None,
            result=summary and _measured(summary, metrics_of(hydra)),
            cost=self._seconds.get(folder, float(job.config.epochs)),
            after=(Path(begins_with).absolute(),) if begins_with else (),
            label=name(job),
            device=job.config.device,
        )

    def memory(self, composed: DictConfig) -> int | None:
        """Predict the bytes that a job needs on a GPU."""
        return _predict(self._composer.known(composed.hydra).config)

    def progress(self, composed: DictConfig) -> Progress:
        """Tell how far a job is, from its folder."""
        folder = Path(composed.hydra.runtime.output_dir)
        run = status(folder, epochs=self._composer.known(composed.hydra).config.epochs)
        return Progress(
            done=run.epoch / run.epochs if run.epochs else None,
            text=f"epoch {run.epoch}/{run.epochs}",
            score="" if run.accuracy is None else f"accuracy {run.accuracy:.4f}",
            seconds_left=run.seconds_left,
            state=run.state,
        )

    def alone(self, composed: DictConfig) -> AbstractContextManager[None]:
        """Leave the other jobs of a sweep behind when this is pickled for one."""
        return self._composer.alone(composed.hydra)

    def _tell_once(self, changes: Sequence[str]) -> None:
        for change in changes:
            if change not in self._told:
                log.warning("since some of the finished runs: %s", change)
        self._told.update(changes)

    def _work(self, task: DictConfig, hydra: DictConfig, folder: Path) -> float | list[float]:
        startup.begin()
        job = replace(self._composer.known(hydra), folder=folder)
        startup.mark("job")
        if metrics_of(hydra):
            wait_while_claimed(folder)  # a launcher that failed may have left a trial at work
        pruner = pruner_of(hydra)
        summary = result_of(
            job, texts(task, hydra), gains=self._composer.gains, prune=pruner and pruner.prune
        )
        if self.several:
            show_outcome(summary)
        else:
            show_summary(summary, folder)
        return _measured(summary, metrics_of(hydra))


def _measured(summary: Mapping[str, Any], metrics: Sequence[str]) -> float | list[float]:
    """Give what a search asks for, several numbers if it asks for several; or the test accuracy."""
    known = {**summary["final"], "parameters": summary["parameters"]["total"]}
    known["seconds"] = summary["seconds"]
    found = [known[metric] for metric in metrics or ("test_accuracy",)]
    return found[0] if len(found) == 1 else found


def result_of(
    job: ComposedJob,
    texts: Mapping[str, str],
    *,
    gains: bool,
    display: "MakeDisplay" = Bar,
    prune: "Judge | None" = None,
) -> Mapping[str, Any]:
    """Give a finished job's summary, or train it, from its beginning or from its checkpoint.

    Args:
        job: What to train, and where.
        texts: Texts for its folder, by path.
        gains: Whether bfloat16 is worth it for all jobs of its command.
        display: Makes what shows its progress.
        prune: See `etude.train.run.run`; and what that raises.
    """
    summary = result(job)
    if summary is not None:
        _tell_what_changed(job.folder)
        return summary
    _check_unchanged(job)
    from etude.train.run import run  # noqa: PLC0415 (imports torch)

    return run(
        job.config,
        job.folder,
        identity=job.identity,
        texts=texts,
        arm=job.arm,
        documented=job.documented,
        display=display,
        prune=prune,
        gains=gains,
        predict=_predict,
    )


def _predict(config: Config) -> int | None:
    """Predict the bytes that a run needs on a GPU, if anybody can."""
    from etude.preflight.footprint import predicted  # noqa: PLC0415 (imports torch)

    return predicted(config)


def _modules(planned: Sequence[ComposedJob]) -> tuple[str, ...]:
    """Name what the jobs import only when they need it, so that a fork server does it once."""
    parts = [getattr(job.config, group) for job in planned for group in GROUPS]
    built = {str(settings(part)["_target_"]).rpartition(".")[0] for part in parts}
    modules = {"etude.train.run", *(name for name in built if name.startswith("etude."))}
    if any(_loads_compiler(job) for job in planned):
        modules.add("torch._dynamo")
    if any(job.config.record.tensorboard for job in planned):
        modules.add("etude.train.record.events")
    if any(job.config.record.curves for job in planned):
        modules |= {"matplotlib.backends.backend_agg", "matplotlib.figure"}
    return tuple(sorted(modules))


def _loads_compiler(job: ComposedJob) -> bool:
    """Whether the first step of a job's optimizer imports PyTorch's compiler, for a second."""
    name = str(settings(job.config.optimizer)["_target_"]).rpartition(".")[2]
    return name not in {"KerasAdam", "TensorFlowRMSprop"}


def _check_unchanged(job: ComposedJob) -> None:
    """Refuse to train what was not planned: a sweep's last job may begin hours after its first.

    Raises:
        UserError: A file has changed since.
    """
    if other := changed(job.identity.contents, job.config):
        raise UserError(
            f"{', '.join(other)}: changed since this run was planned; give the command again"
        )


def _tell_what_changed(folder: Path) -> None:
    """Say that a run was done before, and what it was made with that is different now."""
    log.info("finished before; fresh=true trains it again")
    for change in since(folder):
        log.warning("since then: %s", change)


def complain_of_failure(error: BaseException, folder: Path) -> None:
    """Tell of an error in one line; those that explain themselves bring notes."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        errors.print_exception()
    notes = getattr(error, "__notes__", None)
    if notes:
        complain("; ".join([str(error), *notes]))
    else:
        said = first_line(error)
        log_file = folder / RUN_LOG
        where = f"; traceback: {near(log_file)}" if log_file.exists() else ""
        complain(f"{type(error).__name__}: {said}{_hint(said)}{where}")


def _hint(text: str) -> str:
    """Say what may help against errors that are not the user's, and not Étude's."""
    for sign, hint in _HINTS.items():
        if sign in text:
            return f"; {hint}"
    return ""
