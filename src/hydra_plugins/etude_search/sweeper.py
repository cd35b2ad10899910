"""The Hydra sweeper `search`: Hydra's side of it; what it does is in `etude.search`.

Hydra imports every plugin at every start, so all but the settings is in `_sweep`, which is imported
once a search begins.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from etude.base.errors import UserError
from etude.runs.claim import Busy
from etude.search.outcome import NothingFound
from etude.search.settings import SearchConf, read

ConfigStore.instance().store(
    group="hydra/sweeper", name="search", node=SearchConf, provider="etude"
)


class SearchSweeper(Sweeper):
    """Search for good settings with Optuna; the settings are those of `SearchConf`."""

    def __init__(self, **_: Any) -> None:
        """Take no settings: they are read where the configuration has them."""

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
            from hydra_plugins.etude_search._sweep import Sweep  # noqa: PLC0415

            return Sweep(self._loader, self._config, self._launcher)(settings, arguments)
        except (UserError, NothingFound, Busy) as error:
            raise CompactHydraException(str(error)) from error
