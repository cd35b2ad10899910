"""What `hydra/launcher=local` does: Hydra's jobs through `etude.launch`, and what came of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from etude.base.garbage import seldom_sought
from etude.launch import machine
from etude.launch.check import problems
from etude.launch.client import Forks
from etude.launch.job import Entry, Job, Settings, labels
from etude.launch.loop import Loop
from etude.launch.machine import Device
from etude.launch.pool import Pool
from etude.launch.slots import Slots, jobs_per_device, threads
from etude.launch.table import LiveTable, PlainLines, show_all
from etude.launch.task import TaskMethods
from etude.runs.claim import is_claimed
from hydra_plugins.etude_local._job import compose, returned, work

_TREATMENT = ("fail_fast", "retries", "timeout_minutes", "grace_seconds")


class LocalLaunch:
    """Hydra's launches with one set of settings.

    Args:
        settings: See `LocalLauncherConf`.
        context: Composes the jobs, and has Hydra's callbacks.
        task: What each job calls.
        config: What the launcher was made from.

    Raises:
        CompactHydraException: A setting is not as it must be.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        context: HydraContext,
        task: TaskFunction,
        config: DictConfig,
    ) -> None:
        self._given: Mapping[str, Any] = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in settings.items()
        }
        if found := problems(self._given):
            raise CompactHydraException("\n".join(found))
        self._context, self._task, self._config = context, task, config
        self._forks: Forks | None = None

    def __call__(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run one job for each list of overrides, the first of which has this number."""
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        with seldom_sought():
            numbered = enumerate(overrides, first)
            composed = [compose(self._context, self._config, *pair) for pair in numbered]
        _refuse_held(composed)
        asked = TaskMethods(self._task)
        names = labels([filter_overrides(own) for own in overrides])
        jobs = [self._job(*pair, asked) for pair in zip(composed, names, strict=True)]
        entries = self._run(jobs, asked)
        return [returned(*pair) for pair in zip(entries, composed, strict=True)]

    def _job(self, config: DictConfig, name: str, asked: TaskMethods) -> Job:
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
        # By value where a name would not do: decorated functions, and those of a script.
        call = partial(work, self._context, self._task, config, Singleton.get_state())
        with TaskMethods(self._task).alone(config):
            return cloudpickle.dumps(call)

    def _run(self, jobs: Sequence[Job], asked: TaskMethods) -> list[Entry]:
        slots, places, threads = self._share(jobs)
        modules = [*self._given["preload"], *asked.preload, "hydra_plugins.etude_local._job"]
        treatment = {key: self._given[key] for key in _TREATMENT}
        pool = partial(
            Pool,
            jobs,
            slots=slots,
            settings=Settings(threads=threads, **treatment),
            forks=partial(self._server, modules, threads),
        )
        return self._shown(pool, places)

    def _shown(self, make: Callable[..., Loop], places: int) -> list[Entry]:
        """Run jobs before people's eyes.

        Args:
            make: Makes what runs them, from its display.
            places: How many run at the same time.
        """
        console, live = Console(highlight=False, soft_wrap=True), self._given["live"]
        display = (
            LiveTable if live is True or (live == "auto" and console.is_terminal) else PlainLines
        )
        shown = display(console, places=places)
        loop = make(display=shown)
        try:
            with shown:
                return loop.run()
        finally:  # also when it was asked to stop
            show_all(console, list(loop.entries.values()))

    def _share(self, jobs: Sequence[Job]) -> tuple[Slots, int, int]:
        """Give the places for jobs, how many there are, and the threads of each."""
        cores, share = machine.cores(), self._given["threads"]
        devices = self._devices(self._given["devices"], jobs)
        limit = jobs_per_device(self._given["jobs_per_device"], devices=devices, cores=cores)
        waiting = sum(not job.about.finished for job in jobs)
        places = max(1, min(waiting, limit * len(devices)))
        if share == "auto":
            share = threads(cores=cores, places=places, environment=os.environ)
        return Slots(devices, limit), places, share

    @staticmethod
    def _devices(wanted: Any, jobs: Sequence[Job]) -> list[Device]:
        on_cpu = all(job.about.device == "cpu" for job in jobs)
        return machine.devices("cpu" if on_cpu and wanted == "auto" else wanted)

    def _server(self, modules: Sequence[str], threads: int) -> Forks:
        """Give the fork server, which serves later launches as well, or a new one."""
        if self._forks is None or self._forks.closed:
            self._forks = Forks(modules, threads)
        return self._forks


def _refuse_held(composed: Sequence[DictConfig]) -> None:
    """Refuse a job in the sweep's own folder where a process holds that, as a search does."""
    for config in composed:
        folder = Path(config.hydra.runtime.output_dir)
        if folder == Path(config.hydra.sweep.dir).absolute() and is_claimed(folder):
            raise CompactHydraException(
                f"job {config.hydra.job.num} would wait for ever for {folder}, which its own sweep "
                f"holds; let hydra.sweep.subdir={config.hydra.sweep.subdir} name a folder below"
            )
