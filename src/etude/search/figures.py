"""A search in pictures, by Optuna: each key's importance, all trials across the keys, the front."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from optuna import Study
from optuna.importance import BaseImportanceEvaluator
from optuna.trial import FrozenTrial
from optuna.visualization.matplotlib import (
    plot_parallel_coordinate,
    plot_param_importances,
    plot_pareto_front,
)

from etude.base.atomic import replacing
from etude.search.settings import SearchConf


def draw_importance(
    study: Study, path: Path, settings: SearchConf, *, evaluator: BaseImportanceEvaluator
) -> None:
    """Draw each key's share of the variance of the first metric as a bar, the greatest on top."""
    name = f"share of the variance of {settings.metrics[0]}"
    plot = partial(plot_param_importances, study, evaluator=evaluator, target_name=name)
    _save(partial(plot, target=_first), path, keys=len(study.best_trials[0].params))


def draw_parallel(study: Study, keys: Sequence[str], path: Path, settings: SearchConf) -> None:
    """Draw each complete trial as a line across the keys, coloured by what it came to."""
    plot = partial(plot_parallel_coordinate, study, list(keys), target_name=settings.metrics[0])
    _save(partial(plot, target=_first), path, keys=len(keys))


def draw_front(study: Study, path: Path, settings: SearchConf) -> None:
    """Draw two or three objectives against each other, and which trials none is better than."""
    plot = partial(plot_pareto_front, study, target_names=[*settings.metrics])
    _save(plot, path, keys=2)


def _first(trial: FrozenTrial) -> float:
    return trial.values[0]


def _save(plot: Callable[[], Any], path: Path, *, keys: int) -> None:
    mpl.use("Agg")  # Optuna draws by pyplot, which would open windows where it can
    # Optuna warns that this is experimental, matplotlib of an axis with one value.
    with mpl.rc_context(), warnings.catch_warnings(action="ignore"):
        figure = plot().figure
        figure.set_size_inches(max(6.4, 2.4 * (keys + 1)), 4.8)
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=150, bbox_inches="tight")
        plt.close(figure)
