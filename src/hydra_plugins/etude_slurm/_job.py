"""One job on a node: what submitit pickles, calls there, and queues up again."""

import os
import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import submitit
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write
from submitit.helpers import DelayedSubmission

from etude.launch.task import TaskMethods
from etude.runs.claim import wait_while_claimed
from hydra_plugins.etude_local._job import work


class Call:
    """A job, as data until it is called.

    Args:
        context: Hydra's, for its callbacks.
        task: What to call.
        config: The job's.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        with TaskMethods(task).alone(config):
            self._packed = cloudpickle.dumps((context, task, config, Singleton.get_state()))

    def __call__(self) -> tuple[bytes, int]:
        """Do it; give what it returned, pickled, and an exit code."""
        context, task, config, singletons = pickle.loads(self._packed)  # noqa: S301 (our own)
        with read_write(config.hydra.job), open_dict(config.hydra.job):
            config.hydra.job.id = str(submitit.JobEnvironment().job_id)
        _wait_for_former_self(Path(config.hydra.runtime.output_dir))
        return work(context, task, config, singletons)

    def checkpoint(self) -> Any:
        """Tell submitit what to queue up before the time limit: the same again."""
        return DelayedSubmission(self)


def _wait_for_former_self(folder: Path) -> None:
    """Wait where SLURM took a node for lost on which the job goes on all the same."""
    if os.environ.get("SLURM_RESTART_COUNT") and folder.exists():
        wait_while_claimed(folder)
