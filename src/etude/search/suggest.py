"""What to try next: a function of the space, the seed and the trials so far, and of nothing else.

So a search that was cut suggests what it would have suggested, and one that goes on never begins
its random numbers anew.
"""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from etude.base.seeds import mix
from etude.search import cma
from etude.search.axis import Axis, Choices
from etude.search.space import Params, Space

# A sampler that has settled may repeat itself; after so many attempts chance decides.
_ATTEMPTS = 10
Notes = dict[str, int | str]  # what is kept with a trial


def suggest(
    space: Space,
    trials: Sequence[FrozenTrial],
    *,
    sampler: str,
    directions: Sequence[str],
    seed: int,
) -> tuple[Params, Notes]:
    """Suggest what has not been suggested before; there must be something left.

    Args:
        space: What is searched over.
        trials: All trials so far, by number.
        sampler: tpe, random, grid or cmaes.
        directions: maximize or minimize, of each objective.
        seed: Of the whole search.

    Returns:
        The parameters, and what the sampler wants to be kept with them.
    """
    tried = {_key(trial.params) for trial in trials}
    if sampler == "grid":
        return next((params, {}) for params in space.grid() if _key(params) not in tried)
    for attempt in itertools.count():
        own = mix(seed, "trial", len(trials), attempt) % 2**32
        if sampler == "cmaes" and attempt < _ATTEMPTS:
            params, notes = cma.suggest(space, trials, direction=directions[0], seed=own)
        else:
            chance = sampler != "tpe" or attempt >= _ATTEMPTS
            params, notes = _ask(space, trials, _sampler(own, chance=chance), directions), {}
        if _key(params) not in tried:
            return params, notes
    raise AssertionError


def _key(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))


def _sampler(seed: int, *, chance: bool) -> BaseSampler:
    if chance:
        return RandomSampler(seed)
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        # The liar keeps the trials of a batch apart, whose results are not known yet.
        return TPESampler(seed=seed, constant_liar=True)


def _ask(
    space: Space, trials: Sequence[FrozenTrial], sampler: BaseSampler, directions: Sequence[str]
) -> Params:
    """Ask a study in memory, so that the real one learns of a trial in one piece or not at all."""
    of_each = [StudyDirection[direction.upper()] for direction in directions]
    study = optuna.create_study(sampler=sampler, directions=of_each)
    study.add_trials(trials)
    return study.ask(distributions(space)).params


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Give what is searched over as Optuna has it."""
    return {key: _distribution(axis) for key, axis in space.axes.items()}


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Choices):
        return CategoricalDistribution(axis.words)
    if axis.whole:
        step = int(axis.step or 1)
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=step)
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)
