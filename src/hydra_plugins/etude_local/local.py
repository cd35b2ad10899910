"""`hydra/launcher=local`: a fresh process for each job, packed on this machine's cores or GPUs.

It works for any Hydra application. What it does is in `etude.launch`; here is what Hydra must know.
Hydra imports every plugin at every start, so all else is imported once a launch begins.
"""

# ruff: noqa: PLC0415
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from etude.launch.client import Forks
    from etude.launch.job import Entry, Job
    from etude.launch.machine import Device
    from etude.launch.slots import Slots
    from etude.launch.task import Asked

_TREATMENT = ("fail_fast", "retries", "timeout_minutes", "grace_seconds")


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


class LocalLauncher(Launcher):
    """Runs each job in a process of its own, several at a time.

    Args:
        settings: See `LocalLauncherConf`.
    """

    def __init__(self, **settings: Any) -> None:
        self._given: dict[str, Any] = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in settings.items()
        }
        self._forks: Forks | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives to every launcher.

        Raises:
            CompactHydraException: A setting is not as it must be.
        """
        from etude.launch.settings import problems

        if found := problems(self._given):
            raise CompactHydraException("\n".join(found))
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one job for each list of overrides; give what became of them, in order.

        Raises:
            SystemExit: A signal asked to stop: 130 after Ctrl-C, else 75.
        """
        from etude.launch.job import labels
        from etude.launch.task import Asked
        from hydra_plugins.etude_local._job import compose, returned

        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        numbered = enumerate(job_overrides, initial_job_idx)
        composed = [compose(self._context, self._config, *pair) for pair in numbered]
        asked = Asked(self._task)
        names = labels([filter_overrides(overrides) for overrides in job_overrides])
        jobs = [self._job(*pair, asked) for pair in zip(composed, names, strict=True)]
        entries = self._run(jobs, asked)
        return [returned(*pair) for pair in zip(entries, composed, strict=True)]

    def _job(self, config: DictConfig, name: str, asked: "Asked") -> "Job":
        from etude.launch.job import Job

        folder, about = Path(config.hydra.runtime.output_dir), asked.about(config)
        return Job(
            number=config.hydra.job.num,
            label=about.label or name or folder.name,
            folder=folder,
            about=about,
            call=partial(self._pickled, config),
            memory=partial(asked.memory, config),
            progress=partial(asked.progress, config),
        )

    def _pickled(self, config: DictConfig) -> bytes:
        import cloudpickle

        from hydra_plugins.etude_local._job import work

        # By value where a name would not do: decorated functions, and those of a script.
        state = Singleton.get_state()
        return cloudpickle.dumps(partial(work, self._context, self._task, config, state))

    def _run(self, jobs: "Sequence[Job]", asked: "Asked") -> "list[Entry]":
        from rich.console import Console

        from etude.launch.job import Settings
        from etude.launch.pool import Pool
        from etude.launch.table import Lines, LiveTable, show_all

        slots, places, threads = self._share(jobs)
        modules = [*self._given["preload"], *asked.preload, "hydra_plugins.etude_local._job"]
        console, live = Console(highlight=False, soft_wrap=True), self._given["live"]
        display = LiveTable if live is True or (live == "auto" and console.is_terminal) else Lines
        shown = display(console, places=places)
        pool = Pool(
            jobs,
            slots=slots,
            settings=Settings(threads=threads, **{key: self._given[key] for key in _TREATMENT}),
            forks=partial(self._server, modules, threads),
            display=shown,
        )
        try:
            with shown:
                return pool.run()
        finally:  # also when it was asked to stop
            show_all(console, list(pool.entries.values()))

    def _share(self, jobs: "Sequence[Job]") -> "tuple[Slots, int, int]":
        """Give the places for jobs, how many there are, and the threads of each."""
        from etude.launch import machine
        from etude.launch.slots import Slots, jobs_per_device, threads

        cores, share = machine.cores(), self._given["threads"]
        devices = self._devices(self._given["devices"], jobs)
        limit = jobs_per_device(self._given["jobs_per_device"], devices=devices, cores=cores)
        waiting = sum(not job.about.finished for job in jobs)
        places = max(1, min(waiting, limit * len(devices)))
        if share == "auto":
            share = threads(cores=cores, places=places, environment=os.environ)
        return Slots(devices, limit), places, share

    @staticmethod
    def _devices(wanted: Any, jobs: "Sequence[Job]") -> "list[Device]":
        from etude.launch import machine

        on_cpu = all(job.about.device == "cpu" for job in jobs)
        return machine.devices("cpu" if on_cpu and wanted == "auto" else wanted)

    def _server(self, modules: Sequence[str], threads: int) -> "Forks":
        """Give the fork server, which serves later launches as well, or a new one."""
        from etude.launch.client import Forks

        if self._forks is None or self._forks.closed:
            self._forks = Forks(modules, threads)
        return self._forks
