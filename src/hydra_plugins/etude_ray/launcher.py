"""`hydra/launcher=ray`: each job a task of a Ray cluster, which gives it a share of a machine.

It works for any Hydra application, as `hydra/launcher=etude_ray` where Étude's presets are missing.
Hydra imports every plugin at every start, so all but the settings is in `_launch`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.etude_local._refill import Refilled


@dataclass
class RayLauncherConf:
    """The launcher's settings; `conf/hydra/launcher/ray.yaml` explains them for people.

    Args:
        address: Of the cluster: `auto`, `<host>:<port>`, `ray://<host>:<port>`, or null for one of
            the command's own, on loopback alone.
        num_cpus: Cores of a machine that a job takes, and computes with.
        num_gpus: GPUs that it takes, or a part of one; with 0 it sees none.
        resources: What else it takes, by the names that the cluster gives.
        max_retries: How often a job whose process or machine was lost is given to another.
        autoscaling: Whether the cluster starts machines when jobs wait for what none has.
        grace_seconds: That a job which was asked to stop has before it is killed.
        live: `auto` for a live table in a terminal and lines elsewhere; true or false for one.
        init: Any other argument of `ray.init`.
    """

    _target_: str = "hydra_plugins.etude_ray.launcher.RayLauncher"
    address: str | None = "auto"
    num_cpus: float = 1
    num_gpus: float = 0
    resources: dict[str, float] = field(default_factory=dict[str, float])
    max_retries: int = 3
    autoscaling: bool = False
    grace_seconds: float = 60.0
    live: Any = "auto"
    init: dict[str, Any] = field(default_factory=dict[str, Any])


ConfigStore.instance().store(
    group="hydra/launcher", name="etude_ray", node=RayLauncherConf, provider="etude"
)


class RayLauncher(Refilled, Launcher):
    """Runs each job as a task of a Ray cluster.

    Args:
        settings: See `RayLauncherConf`.
    """

    def __init__(self, **settings: Any) -> None:
        self._given = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives to every launcher.

        Raises:
            CompactHydraException: Ray is not installed, or a setting is not as it must be.
        """
        if find_spec("ray") is None:
            raise CompactHydraException(
                "hydra/launcher=ray needs Ray, which is not installed; "
                "pip install 'etude[ray]' brings it"
            )
        from hydra_plugins.etude_ray._launch import RayLaunch  # noqa: PLC0415

        self._launch = RayLaunch(self._given, hydra_context, task_function, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one job for each list of overrides; give what became of them, in order.

        Raises:
            SystemExit: A signal asked to stop: 130 after Ctrl-C, else 75.
            CompactHydraException: There is no such cluster, or none of its machines has what a job
                asks for.
        """
        return self._launch(job_overrides, initial_job_idx)
