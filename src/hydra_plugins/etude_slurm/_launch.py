"""What `hydra/launcher=slurm` does: jobs into SLURM's queue, and what came of them."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, configure_log, filter_overrides, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from etude.base.text import counted, near
from etude.launch.job import Entry, Job, labels
from etude.launch.squeue import short
from etude.launch.stopping import Stopping, is_leaving
from etude.launch.table import LiveTable, PlainLines, show_all
from etude.launch.task import TaskMethods
from etude.runs.state import RunState
from hydra_plugins.etude_local._job import compose, returned
from hydra_plugins.etude_local._refill import Order, Source
from hydra_plugins.etude_slurm._job import Call
from hydra_plugins.etude_slurm._submit import Wanted, make_executor, submit, submitted_before
from hydra_plugins.etude_slurm._watch import Ticket, wait


class SlurmLaunch:
    """Hydra's launches with one set of settings.

    Args:
        settings: See `conf/hydra/launcher/slurm.yaml`.
        context: Composes the jobs, and has Hydra's callbacks.
        task: What each job calls.
        config: What the launcher was made from.

    Raises:
        CompactHydraException: There is no SLURM here, or it does not know a setting.
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
        self._executor = make_executor(self._given)
        self._context, self._task, self._config = context, task, config
        self._console = Console(highlight=False, soft_wrap=True)
        self._composed: dict[int, DictConfig] = {}  # by a job's number, until it is told of
        self._words: dict[int, tuple[str, ...]] = {}

    def __call__(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Do one job for each list of overrides, the first of which has this number."""
        names = labels([filter_overrides(own) for own in overrides])
        numbered = enumerate(zip(overrides, names, strict=True), first)
        entries = self._do([Order(number, *own) for number, own in numbered])
        return [self._returned(entry) for entry in entries]

    def refilled(self, source: Source) -> None:
        """Do jobs as they are given, and have another given as soon as one has ended."""
        if first := source.exchange([]):
            self._do(first, source)

    def _do(self, orders: Sequence[Order], source: Source | None = None) -> list[Entry]:
        """Do jobs: all of them, or the first of those that a source gives."""
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        entries, stopping = self._entries(orders), Stopping()
        with stopping.listening():
            tickets = self._queue(entries)
            if source is None and is_leaving() and any(not entry.over for entry in entries):
                self._tell_what_goes_on(tickets, len(entries))
                raise SystemExit(0)
            self._wait(tickets, entries, stopping, source)
        if stopping.asked is not None:
            self._tell_what_goes_on(tickets, len(entries))
            raise SystemExit(stopping.code)
        return entries

    def _entries(self, orders: Sequence[Order]) -> list[Entry]:
        """Compose jobs."""
        asked = TaskMethods(self._task)
        composed = [compose(self._context, self._config, *order[:2]) for order in orders]
        self._composed |= {config.hydra.job.num: config for config in composed}
        self._words |= {own.number: tuple(filter_overrides(own.overrides)) for own in orders}
        pairs = zip(composed, orders, strict=True)
        return [_entry(config, order.label, asked) for config, order in pairs]

    def _returned(self, entry: Entry) -> JobReturn:
        return returned(entry, self._composed.pop(entry.job.number))

    def _refill(self, source: Source, tickets: list[Ticket], entries: list[Entry]) -> None:
        """Tell of the jobs that have ended, and queue those that take their places."""
        while ended := [e for e in entries if e.over and e.job.number in self._composed]:
            returns = [(entry.job.number, self._returned(entry)) for entry in ended]
            new = self._entries(source.exchange(returns))
            entries.extend(new)
            tickets.extend(self._queue(new))

    def _queue(self, entries: Sequence[Entry]) -> list[Ticket]:
        """Submit the jobs that are neither done nor in the queue since an earlier command."""
        numbers = [entry.job.number for entry in entries if not entry.over]
        composed = {number: self._composed[number] for number in numbers}
        wanted = {
            Wanted(entry.job.folder, self._words[entry.job.number]): (entry, config)
            for entry in entries
            if (config := composed.get(entry.job.number)) is not None
        }
        paths = submitted_before(self._given["submitit_folder"], list(wanted))
        if paths:
            self._say(f"in SLURM's queue since before: {_ids(paths)}")
        new = [own for own in wanted if own not in paths]
        calls = [Call(self._context, self._task, wanted[own][1]) for own in new]
        submitted = dict(zip(new, submit(self._executor, calls, new), strict=True))
        if submitted:
            self._say(f"in SLURM's queue: {_ids(submitted)}")
        paths |= submitted
        return [Ticket(entry, paths[own]) for own, (entry, _) in wanted.items()]

    def _wait(
        self,
        tickets: list[Ticket],
        entries: list[Entry],
        stopping: Stopping,
        source: Source | None,
    ) -> None:
        places = min(self._given.get("array_parallelism") or len(entries), len(entries))
        display = LiveTable if self._console.is_terminal else PlainLines
        refill = None if source is None else partial(self._refill, source, tickets, entries)
        to_come = (lambda: 0) if source is None else (lambda: source.to_come)
        try:
            with display(self._console, places=places, to_come=to_come) as shown:
                wait(tickets, entries, stopping, shown, refill)
        finally:
            show_all(self._console, entries)

    def _tell_what_goes_on(self, tickets: Sequence[Ticket], jobs: int) -> None:
        """Say what became of the jobs that nobody waits for any more."""
        left = [ticket.id for ticket in tickets if not ticket.entry.over]
        if not left:
            return
        folder = near(Path(str(self._config.hydra.sweep.dir)))
        self._say(f"SLURM goes on with {len(left)} of {counted(jobs, 'run')}, as {short(left)}:")
        self._say(f"  squeue -u {getuser()}   where they are in the queue")
        self._say(f"  etude-status {shlex.quote(folder)}   how far they are")
        self._say(f"  scancel {shlex.quote(short(left))}   ends them")
        self._say("the same command waits for them, and takes up their results")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


def _entry(config: DictConfig, label: str, asked: TaskMethods) -> Entry:
    folder, about = Path(config.hydra.runtime.output_dir), asked.about(config)
    job = Job(
        number=config.hydra.job.num,
        label=about.label or label or folder.name,
        folder=folder,
        about=about,
        call=bytes,  # it takes its own way there
        progress=partial(asked.progress, config),
    )
    state = RunState.FINISHED if about.finished else RunState.NOT_STARTED
    return Entry(job, state=state, progress=job.progress())


def _ids(paths: Mapping[Wanted, Any]) -> str:
    return short([str(own.job_id) for own in paths.values()])
