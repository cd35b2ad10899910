"""One search for Hydra: its jobs go to Hydra's launcher, its report to the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from etude.base.errors import UserError
from etude.runs.claim import claimed
from etude.search.outcome import Unfinished
from etude.search.report import report
from etude.search.search import Search
from etude.search.settings import SearchConf
from etude.search.space import check_sampler, check_seeds, parse
from etude.search.storage import open_study
from hydra_plugins.etude_local._refill import Order


class Sweep:
    """One search.

    Args:
        loader: Composes its jobs.
        config: What the sweeper was made from.
        launcher: Does the jobs.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig, launcher: Launcher) -> None:
        self._loader, self._config, self._launcher = loader, config, launcher
        self._returns: list[Sequence[JobReturn]] = []

    def __call__(self, settings: SearchConf, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Search over what the arguments span; give what the launcher returned, batch by batch.

        Raises:
            UserError: The space or the folder is not as it must be.
            NothingFound: No trial is complete.
        """
        space = parse(arguments, settings.params, self._loader)
        check_sampler(space, settings.sampler)
        check_seeds(space, settings.seeds)
        folder = Path(str(self._config.hydra.sweep.dir))
        with claimed(folder):
            OmegaConf.save(self._config, folder / "multirun.yaml")
            study = open_study(folder, storage=settings.storage, directions=settings.directions)
            search = Search(study, space, settings, launch=self._launch, folder_of=self._folder_of)
            refilled = getattr(self._launcher, "refilled", None)
            search.run(refilled and (lambda own: refilled(_Trials(own, self._returns))))
            console = Console(highlight=False, soft_wrap=True)
            for part in report(search, folder):
                console.print(part, markup=False)
        return self._returns

    def _launch(self, words: list[list[str]], first: int) -> list[Any]:
        try:
            returns = self._launcher.launch(words, initial_job_idx=first)
        except HydraException as error:  # the launcher's own settings
            raise UserError(str(error)) from error
        self._returns.append(returns)
        return [_outcome(job) for job in returns]

    def _folder_of(self, words: list[str], number: int) -> str:
        """Compose a job, as its launcher will; this also finds out whether it can be.

        Raises:
            UserError: It would wait for ever for the folder that its own search holds.
        """
        composed = self._loader.load_sweep_config(self._config, words)
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(composed)
        try:
            parts = (OmegaConf.select(composed, f"hydra.sweep.{key}") for key in ("dir", "subdir"))
            above, below = map(str, parts)
        finally:
            HydraConfig.instance().cfg = before
        if Path(above, below).resolve() == Path(above).resolve():
            raise UserError(
                f"hydra.sweep.subdir={below} puts trial {number} into {above}, which the search "
                "itself holds; leave it alone, or let it name a folder below"
            )
        return str(Path(above, below))


class _Trials:
    """A search as what gives a launcher jobs.

    Args:
        search: Which.
        returns: Is added what the launcher returns.
    """

    def __init__(self, search: Search, returns: list[Sequence[JobReturn]]) -> None:
        self._search, self._returns = search, returns

    @property
    def at_once(self) -> int:
        """Give the number of trials at the same time."""
        return self._search.settings.n_jobs

    @property
    def to_come(self) -> int:
        """Count the trials that are still to be suggested."""
        return self._search.to_come

    def exchange(self, ended: Sequence[tuple[int, JobReturn]], *, more: bool = True) -> list[Order]:
        """Tell the search of jobs that have ended; give those that it asks for."""
        self._returns += [[job] for _, job in ended]
        outcomes = [(number, _outcome(job)) for number, job in ended]
        return [Order(*job) for job in self._search.exchange(outcomes, more=more)]


def _outcome(job: JobReturn) -> Any:
    if job.status == JobStatus.UNKNOWN:
        return Unfinished()
    # Its public name raises what the job raised, and complains on the way.
    return job._return_value  # pyright: ignore[reportPrivateUsage]
