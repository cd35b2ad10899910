"""What a job knows of the search that it is a trial of."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.search.settings import BY_EPOCHS, TARGET, names, read

if TYPE_CHECKING:
    from etude.search.prune import Pruner

log = logging.getLogger(__name__)


def metrics_of(hydra: Any) -> tuple[str, ...]:
    """Name what the search is for; nothing if the job belongs to none.

    Args:
        hydra: The job's node `hydra`, as `HydraConfig.get()` gives it.
    """
    return names(hydra.sweeper.metric) if _in_search(hydra) else ()


def pruner_of(hydra: Any) -> "Pruner | None":
    """Give what judges the job after each epoch; None if nothing does.

    Args:
        hydra: The job's node `hydra`, as `HydraConfig.get()` gives it.
    """
    # Of several numbers none says by itself that a job is hopeless.
    if len(metrics_of(hydra)) != 1 or hydra.sweeper.pruner not in BY_EPOCHS:
        return None
    from etude.search.prune import Pruner  # noqa: PLC0415 (Optuna takes its time)

    try:
        # The sweep's folder may be relative, and another machine may have begun elsewhere.
        folder = Path(hydra.runtime.cwd, hydra.sweep.dir)
        return Pruner(folder, int(hydra.job.num), read(hydra.sweeper))
    except OSError as error:
        log.warning("%s; this trial is not pruned", error)
        return None


def _in_search(hydra: Any) -> bool:
    return hydra.sweeper.get("_target_") == TARGET and hydra.job.get("num") is not None
