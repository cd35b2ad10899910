"""The Hydra sweeper `search`: Hydra's side of it; what it does is in `etude.search`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException, HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from etude.base.errors import UserError
from etude.search.settings import SearchConf, read

ConfigStore.instance().store(
    group="hydra/sweeper", name="search", node=SearchConf, provider="etude"
)


class SearchSweeper(Sweeper):
    """Search for good settings with Optuna; the settings are those of `SearchConf`."""

    def __init__(self, **_: Any) -> None:
        self._returns: list[Sequence[JobReturn]] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Get ready to launch."""
        self._loader = hydra_context.config_loader
        self._config = config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Search over what the arguments span; give what the launcher returned, batch by batch."""
        try:
            settings = read(self._config.hydra.sweeper)  # says so if Optuna is missing
            from etude.search.search import NothingFound  # noqa: PLC0415
        except UserError as error:
            raise CompactHydraException(str(error)) from error
        try:
            self._search(settings, arguments)
        except (UserError, NothingFound) as error:
            raise CompactHydraException(str(error)) from error
        return self._returns

    def _search(self, settings: SearchConf, arguments: list[str]) -> None:
        from rich.console import Console  # noqa: PLC0415

        from etude.runs.claim import claimed  # noqa: PLC0415 (Hydra imports every plugin)
        from etude.search.report import report  # noqa: PLC0415
        from etude.search.search import Search  # noqa: PLC0415
        from etude.search.space import check_sampler, parse  # noqa: PLC0415
        from etude.search.storage import open_study  # noqa: PLC0415

        space = parse(arguments, settings.params, self._loader)
        check_sampler(space, settings.sampler)
        folder = Path(str(self._config.hydra.sweep.dir))
        with claimed(folder):
            OmegaConf.save(self._config, folder / "multirun.yaml")
            study = open_study(folder, storage=settings.storage, direction=settings.direction)
            search = Search(study, space, settings, launch=self._launch, folder_of=self._folder_of)
            search.run()
            console = Console(highlight=False, soft_wrap=True)
            for part in report(search, folder):
                console.print(part, markup=False)

    def _launch(self, words: list[list[str]], first: int) -> list[Any]:
        try:
            returns = self._launcher.launch(words, initial_job_idx=first)
        except HydraException as error:  # the launcher's own settings
            raise UserError(str(error)) from error
        self._returns.append(returns)
        return [_outcome(job) for job in returns]

    def _folder_of(self, words: list[str], number: int) -> str:
        """Compose a job, as its launcher will; this also finds out whether it can be."""
        composed = self._loader.load_sweep_config(self._config, words)
        with open_dict(composed):
            composed.hydra.job.num = composed.hydra.job.id = number
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(composed)
        try:
            parts = (OmegaConf.select(composed, f"hydra.sweep.{key}") for key in ("dir", "subdir"))
            return str(Path(*map(str, parts)))
        finally:
            HydraConfig.instance().cfg = before


def _outcome(job: JobReturn) -> Any:
    from etude.search.search import Unfinished  # noqa: PLC0415

    if job.status == JobStatus.UNKNOWN:
        return Unfinished()
    # Its public name raises what the job raised, and complains on the way.
    return job._return_value  # pyright: ignore[reportPrivateUsage]
