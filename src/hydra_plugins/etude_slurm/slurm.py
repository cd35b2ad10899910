"""`hydra/launcher=slurm`: a job of SLURM's for each job of Hydra's, by submitit.

Its settings are those of hydra-submitit-launcher. Hydra imports every plugin at every start, so
that all else is in `_launch`, which is imported once a launch begins.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.etude_local._refill import Refilled


class SlurmLauncher(Refilled, Launcher):
    """Puts jobs into SLURM's queue, and waits for what becomes of them.

    Args:
        settings: See `conf/hydra/launcher/slurm.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self._given = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives to every launcher.

        Raises:
            CompactHydraException: There is no SLURM here, or it does not know a setting.
        """
        from hydra_plugins.etude_slurm._launch import SlurmLaunch  # noqa: PLC0415

        self._launch = SlurmLaunch(self._given, hydra_context, task_function, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Do one job for each list of overrides; give what became of them, in order.

        Raises:
            SystemExit: A signal ended the waiting, and the jobs go on: 130 after Ctrl-C, else 75.
            CompactHydraException: SLURM refused the jobs.
        """
        return self._launch(job_overrides, initial_job_idx)
