"""The settings of `hydra/sweeper=search`, and their checks."""

import importlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from etude.base.errors import UserError
from etude.base.nearest import unknown
from etude.base.seeds import SEEDS
from etude.base.text import counted

TARGET = "hydra_plugins.etude_search.sweeper.SearchSweeper"
CHOICES: dict[str, tuple[str, ...]] = {
    "sampler": ("tpe", "random", "grid", "cmaes"),
    "direction": ("maximize", "minimize"),
    "storage": ("journal", "sqlite"),
    "pruner": ("none", "median", "hyperband", "wilcoxon"),
}
BY_EPOCHS = ("median", "hyperband")  # pruners that judge a job between two epochs
_USUAL_TRIALS = 20


@dataclass
class SearchConf:
    """The node `hydra.sweeper`.

    Args:
        sampler: tpe, random, grid or cmaes.
        direction: maximize or minimize what a job returns; a list of them for several objectives.
        n_trials: Trials in all, those of earlier processes included; None: 20, or the whole grid.
        n_jobs: Trials that are handed to the launcher together.
        seed: Of the suggestions.
        storage: `journal` (search.journal, a text file) or `sqlite` (search.db), in the sweep's
            folder.
        seeds: Values of the key `seed` that each trial is done with, one after the other; its value
            is the mean. None: a trial is one job, with the seed that it has.
        pruner: What ends hopeless jobs between two epochs: none, median or hyperband; or hopeless
            trials between two seeds: wilcoxon.
        p_threshold: A trial is not given another seed once it is worse than the best one at this
            level, by Wilcoxon's test.
        startup_trials: Complete trials before the median prunes.
        warmup_epochs: Epochs of each trial that the median leaves alone; Hyperband's shortest run.
        metric: The name of what is searched for, in a job's epochs and in the report; a list of
            names for several objectives, of which a job returns one number each.
        identity: What must be the same for a search to go on; None: the words that all jobs share.
        params: The space, by key; the command's words take precedence.
    """

    _target_: str = TARGET
    sampler: str = "tpe"
    direction: Any = "maximize"
    n_trials: int | None = None
    n_jobs: int = 1
    seed: int = 0
    storage: str = "journal"
    seeds: list[int] | None = None
    pruner: str = "none"
    p_threshold: float = 0.1
    startup_trials: int = 5
    warmup_epochs: int = 1
    metric: Any = "validation_accuracy"
    identity: str | None = None
    params: dict[str, Any] | None = field(default=None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Name all that is searched for."""
        return names(self.metric)

    @property
    def directions(self) -> tuple[str, ...]:
        """Give the direction of each metric."""
        return names(self.direction)

    @property
    def repeats(self) -> int:
        """Count the jobs of a trial, if it is not given up."""
        return len(self.seeds or ()) or 1

    def wanted(self, size: int | None) -> int:
        """Give how many trials there are to be, of a space with so many combinations, if finite."""
        if self.sampler == "grid" and self.n_trials is None and size is not None:
            return size
        wanted = self.n_trials or _USUAL_TRIALS
        return wanted if size is None else min(wanted, size)


def names(given: Any) -> tuple[str, ...]:
    """Give one name, or a list of them, as several."""
    several = isinstance(given, Sequence) and not isinstance(given, str)
    return tuple(map(str, given)) if several else (str(given),)


def read(node: Any) -> SearchConf:
    """Check the settings.

    Args:
        node: The node `hydra.sweeper`, or anything that has its names.

    Raises:
        UserError: One is not as it must be, or Optuna is not installed.
    """
    values = {f.name: getattr(node, f.name) for f in fields(SearchConf)}
    settings = SearchConf(**values)
    settings.metric, settings.direction = (
        [*several] if len(several) != 1 else several[0]
        for several in (settings.metrics, settings.directions)
    )
    for name, choices in CHOICES.items():
        for value in names(getattr(settings, name)):
            _check_choice(name, value, choices)
    _check_objectives(settings)
    if settings.n_trials is not None:
        _check_at_least("n_trials", settings.n_trials, 1)
    for name, least in (("n_jobs", 1), ("seed", 0), ("startup_trials", 0), ("warmup_epochs", 1)):
        _check_at_least(name, getattr(settings, name), least)
    settings.seeds = None if settings.seeds is None else [*settings.seeds]
    _check_seeds(settings)
    _need_packages()
    return settings


def _check_objectives(settings: SearchConf) -> None:
    """Refuse metrics without directions, and a sampler that looks for one number alone."""
    metrics, directions = settings.metrics, settings.directions
    if not metrics or len(metrics) != len(directions) or len(set(metrics)) < len(metrics):
        raise UserError(
            f"hydra.sweeper.metric=[{','.join(metrics)}] and "
            f"hydra.sweeper.direction=[{','.join(directions)}] must be as long as one another, and "
            "no metric may be there twice"
        )
    if settings.sampler == "cmaes" and len(metrics) > 1:
        raise UserError("hydra.sweeper.sampler=cmaes looks for one metric alone; tpe for several")


def _check_seeds(settings: SearchConf) -> None:
    """Refuse what is no seed, and seeds and a pruner that do not go together."""
    seeds, pruner, level = settings.seeds or [], settings.pruner, settings.p_threshold
    if not all(type(seed) is int and 0 <= seed < SEEDS for seed in seeds):  # true is no seed
        raise UserError(
            f"hydra.sweeper.seeds={seeds} must be whole numbers from 0 to 2³²-1, "
            "such as hydra.sweeper.seeds=[0,1,2]"
        )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"hydra.sweeper.seeds={seeds} has one of them twice")
    if seeds and pruner in BY_EPOCHS:
        raise UserError(
            f"hydra.sweeper.pruner={pruner} compares epochs, and trials of several seeds are "
            "compared by whole runs: take wilcoxon or none"
        )
    if pruner != "wilcoxon":
        return
    if not 0 < level < 1:
        raise UserError(f"hydra.sweeper.p_threshold={level} must be between 0 and 1")
    least = 0.5 ** (len(seeds) - 1)  # the smallest p that the test can come to before the last seed
    if len(seeds) < 3 or least >= level:
        enough = next(n for n in itertools.count(3) if 0.5 ** (n - 1) < level)
        raise UserError(
            f"hydra.sweeper.pruner=wilcoxon would stop no trial before the last of "
            f"{counted(len(seeds), 'seed')}: after n of them its p is at least 1/2^n, and "
            f"p_threshold is {level:g}; give "
            f"hydra.sweeper.seeds={[*range(enough)]} or more, or a greater p_threshold"
        )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"hydra.sweeper.{name}={value}: {unknown(value, choices, 'choice')}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"hydra.sweeper.{name}={value} must be at least {least}")


def _need_packages() -> None:
    for package in ("optuna", "cmaes"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(
                f"hydra/sweeper=search needs {package}; pip install 'etude[search]' brings it"
            ) from error
