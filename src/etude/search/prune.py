"""Whether a job is hopeless, asked after each epoch; and a trial, after each of its seeds."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, WilcoxonPruner
from optuna.trial import FrozenTrial

from etude.search.settings import SearchConf
from etude.search.storage import load_study, note, note_epoch

PRUNED = "pruned_after"  # the trial's note of the epoch that it was given up after


class Pruner:
    """Report a trial's epochs to its search, and judge it by the others'.

    Args:
        folder: The search's.
        number: The trial's.
        settings: The search's.

    Raises:
        OSError: The search's storage is not there.
    """

    def __init__(self, folder: Path, number: int, settings: SearchConf) -> None:
        self._metric = settings.metric
        self._study = load_study(folder, storage=settings.storage, pruner=make_pruner(settings))
        self._number = number
        self._reported = 0

    def prune(self, epochs: Sequence[Mapping[str, Any]]) -> bool:
        """Report what is new, and say whether going on is not worth it.

        Args:
            epochs: A mapping for each epoch so far, with `epoch` and the search's metric.
        """
        for row in epochs[self._reported :]:
            note_epoch(self._study, self._number, row["epoch"], float(row[self._metric]))
        self._reported = len(epochs)
        trial = self._study.get_trials(deepcopy=False)[self._number]
        if not self._study.pruner.prune(self._study, trial):
            return False
        note(self._study, self._number, PRUNED, epochs[-1]["epoch"])
        return True


def make_pruner(settings: SearchConf) -> BasePruner:
    """Make Optuna's pruner: the median of the others at the same epoch, or Hyperband."""
    if settings.pruner == "hyperband":
        return HyperbandPruner(min_resource=settings.warmup_epochs)
    # It counts from 0 and leaves alone what is below; epochs are counted from 1.
    return MedianPruner(settings.startup_trials, n_warmup_steps=settings.warmup_epochs + 1)


def is_worse(study: Study, trial: FrozenTrial, *, level: float) -> bool:
    """Say whether a trial is worse than the best one, seed by seed, by Wilcoxon's signed-rank test.

    Args:
        study: Has the best trial.
        trial: With a value for each seed so far.
        level: One-sided, of each look; Optuna corrects for no number of looks.
    """
    with warnings.catch_warnings(action="ignore"):  # experimental; and of few or equal values
        return WilcoxonPruner(p_threshold=level).prune(study, trial)
