"""What `hydra/launcher=local` does: Hydra's jobs through `etude.launch`, and what came of them."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import (
    JobReturn,
    JobStatus,
    configure_log,
    filter_overrides,
    setup_globals,
)
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
from etude.runs.state import RunState
from hydra_plugins.etude_local._job import compose, returned, work
from hydra_plugins.etude_local._refill import Order, Source

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
        self._composed: dict[int, DictConfig] = {}  # by a job's number, until it is told of
        self._forks: Forks | None = None

    def __call__(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Run one job for each list of overrides, the first of which has this number."""
        self._get_ready()
        asked = TaskMethods(self._task)
        names = labels([filter_overrides(own) for own in overrides])
        numbered = enumerate(zip(overrides, names, strict=True), first)
        jobs = self._jobs([Order(number, *own) for number, own in numbered], asked)
        return [self._returned(entry) for entry in self._run(jobs, asked)]

    def refilled(self, source: Source) -> None:
        """Run jobs as they are given, and have another given as soon as one has ended."""
        self._get_ready()
        asked = TaskMethods(self._task)
        if first := self._jobs(source.exchange([]), asked):
            self._run(first, asked, source)

    def _get_ready(self) -> None:
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)

    def _jobs(self, orders: Sequence[Order], asked: TaskMethods) -> list[Job]:
        """Compose jobs."""
        with seldom_sought():
            composed = [compose(self._context, self._config, *order[:2]) for order in orders]
        _refuse_held(composed)
        self._composed |= {config.hydra.job.num: config for config in composed}
        pairs = zip(composed, orders, strict=True)
        return [self._job(config, order.label, asked) for config, order in pairs]

    def _returned(self, entry: Entry) -> JobReturn:
        return returned(entry, self._composed.pop(entry.job.number))

    def _refill(
        self, source: Source, asked: TaskMethods, ended: Sequence[Entry], *, more: bool
    ) -> list[Job]:
        """Tell of jobs that have ended, and compose those that take their places."""
        returns = [(entry.job.number, self._returned(entry)) for entry in ended]
        for entry, (_, job) in zip(ended, returns, strict=True):
            # One that was asked to stop has not failed: the next command goes on with it.
            if entry.state is RunState.PREEMPTED or (entry.state is RunState.CUT_OFF and not more):
                job.status = JobStatus.UNKNOWN
        return self._jobs(source.exchange(returns, more=more), asked)

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

    def _run(
        self, jobs: Sequence[Job], asked: TaskMethods, source: Source | None = None
    ) -> list[Entry]:
        """Run jobs.

        Args:
            jobs: All of them, or the first.
            asked: The task's methods.
            source: Gives more of them as they end.
        """
        slots, places, threads = self._share(jobs, source)
        modules = [*self._given["preload"], *asked.preload, "hydra_plugins.etude_local._job"]
        treatment = {key: self._given[key] for key in _TREATMENT}
        pool = partial(
            Pool,
            jobs,
            slots=slots,
            settings=Settings(threads=threads, **treatment),
            forks=partial(self._server, modules, threads),
        )
        return self._shown(pool, places, asked, source)

    def _shown(
        self, make: Callable[..., Loop], places: int, asked: TaskMethods, source: Source | None
    ) -> list[Entry]:
        """Run jobs before people's eyes.

        Args:
            make: Makes what runs them, from its display and from what gives more of them.
            places: How many run at the same time.
            asked: See `_run`.
            source: See `_run`.
        """
        console, live = Console(highlight=False, soft_wrap=True), self._given["live"]
        display = (
            LiveTable if live is True or (live == "auto" and console.is_terminal) else PlainLines
        )
        if source is None:
            shown = display(console, places=places)
            loop = make(display=shown)
        else:
            shown = display(console, places=places, to_come=lambda: source.to_come)
            loop = make(display=shown, refill=partial(self._refill, source, asked))
        try:
            with shown:
                return loop.run()
        finally:  # also when it was asked to stop
            show_all(console, list(loop.entries.values()))

    def _share(self, jobs: Sequence[Job], source: Source | None) -> tuple[Slots, int, int]:
        """Give the places for jobs, how many there are, and the threads of each."""
        cores, share = machine.cores(), self._given["threads"]
        devices = self._devices(self._given["devices"], jobs)
        limit = jobs_per_device(self._given["jobs_per_device"], devices=devices, cores=cores)
        at_once = 0 if source is None else source.at_once
        waiting = max(at_once, sum(not job.about.finished for job in jobs))
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
