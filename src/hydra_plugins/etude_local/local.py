"""`hydra/launcher=local`: a fresh process for each job, packed on this machine's cores or GPUs.

It works for any Hydra application. Hydra imports every plugin at every start, so all but the
settings is in `_launch`, which is imported once a launch begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.etude_local._refill import Refilled


@dataclass
class LocalLauncherConf:
    """The launcher's settings.

    Args:
        devices: `auto` for all GPUs, or the CPU where there is none; `cpu`; or a list of what
            CUDA_VISIBLE_DEVICES takes.
        jobs_per_device: Jobs on one device at the same time; `auto` for as many as there are cores
            for, and on a GPU no more than its free memory is predicted to hold.
        threads: That each job computes with; `auto` for the cores ÷ the jobs at the same time.
        preload: Modules to import once, before the jobs' processes are forked.
        fail_fast: Whether the first failure stops all other jobs, once they have saved.
        retries: How often a job that failed is tried again.
        timeout_minutes: That one try may take; null for any time.
        grace_seconds: That a job which was asked to stop has before it is killed.
        live: `auto` for a live table in a terminal and lines elsewhere; true or false for one.
    """

    _target_: str = "hydra_plugins.etude_local.local.LocalLauncher"
    devices: Any = "auto"
    jobs_per_device: Any = "auto"
    threads: Any = "auto"
    preload: list[str] = field(default_factory=lambda: ["torch"])
    fail_fast: bool = False
    retries: int = 0
    timeout_minutes: float | None = None
    grace_seconds: float = 60.0
    live: Any = "auto"


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalLauncherConf, provider="etude"
)


class LocalLauncher(Refilled, Launcher):
    """Runs each job in a process of its own, several at a time.

    Args:
        settings: See `LocalLauncherConf`.
    """

    def __init__(self, **settings: Any) -> None:
        self._given = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives to every launcher.

        Raises:
            CompactHydraException: A setting is not as it must be.
        """
        from hydra_plugins.etude_local._launch import LocalLaunch  # noqa: PLC0415

        self._launch = LocalLaunch(self._given, hydra_context, task_function, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one job for each list of overrides; give what became of them, in order.

        Raises:
            SystemExit: A signal asked to stop: 130 after Ctrl-C, else 75.
            CompactHydraException: A job would wait for the folder that its own sweep holds.
        """
        return self._launch(job_overrides, initial_job_idx)
