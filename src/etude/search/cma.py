"""CMA-ES: Hansen & Ostermeier, Evolutionary Computation 2001, through the package `cmaes`.

Optuna's own sampler keeps the strategy's state as a pickle in the storage. Here it is computed
again from the trials, so that nothing in a study's folder is ever unpickled.
"""

import random
from collections.abc import Sequence

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from etude.base.seeds import mix
from etude.search.axis import Numbers
from etude.search.space import Params, Space

GENERATION = "generation"  # of the strategy that a trial was drawn from
_SIGMA = 1 / 6  # of the cube's side: the first generation covers it, and seldom leaves it


def suggest(
    space: Space, trials: Sequence[FrozenTrial], *, direction: str, seed: int
) -> tuple[Params, dict[str, int | str]]:
    """Draw numbers from the strategy that the trials have led to, and choices by chance.

    Args:
        space: What is searched over.
        trials: All trials so far.
        direction: maximize or minimize.
        seed: Of this suggestion.

    Returns:
        The parameters, and the generation that they belong to.
    """
    numbers = {key: axis for key, axis in space.axes.items() if isinstance(axis, Numbers)}
    strategy = _replay(numbers, trials, sign=-1.0 if direction == "maximize" else 1.0)
    strategy.reseed_rng(seed)
    point = strategy.ask()
    params: Params = {}
    chance = random.Random(mix(seed, "choices"))  # noqa: S311
    for key, axis in space.axes.items():
        if isinstance(axis, Numbers):
            params[key] = _number(axis, float(point[list(numbers).index(key)]))
        else:
            params[key] = chance.choice(axis.words)
    return params, {GENERATION: strategy.generation}


def _replay(numbers: dict[str, Numbers], trials: Sequence[FrozenTrial], *, sign: float) -> CMA:
    """Tell a new strategy of each generation that is complete, in the order of its trials."""
    cube = np.array([[0.0, 1.0]] * len(numbers))
    strategy = CMA(mean=np.full(len(numbers), 0.5), sigma=_SIGMA, bounds=cube)
    while True:
        told: list[tuple[NDArray[np.float64], float]] = [
            (_point(numbers, trial.params), sign * float(trial.values[0]))
            for trial in trials
            if trial.state == TrialState.COMPLETE
            and trial.user_attrs.get(GENERATION) == strategy.generation
        ]
        if len(told) < strategy.population_size:
            return strategy
        strategy.tell(told[: strategy.population_size])


def _point(numbers: dict[str, Numbers], params: Params) -> NDArray[np.float64]:
    """Place parameters in the unit cube."""
    return np.array([_place(axis, params[key]) for key, axis in numbers.items()])


def _place(axis: Numbers, value: float) -> float:
    low, high, value = _scale(axis, axis.low), _scale(axis, axis.high), _scale(axis, value)
    return (value - low) / (high - low) if high > low else 0.5


def _number(axis: Numbers, place: float) -> float:
    """Give the number at a place between 0 and 1; the nearest one if there are steps."""
    low, high = _scale(axis, axis.low), _scale(axis, axis.high)
    value = low + place * (high - low)
    value = float(np.exp(value)) if axis.log else value
    if axis.step is not None:
        value = axis.low + round((value - axis.low) / axis.step) * axis.step
    value = min(max(value, axis.low), axis.high)
    return int(value) if axis.whole else value


def _scale(axis: Numbers, value: float) -> float:
    return float(np.log(value)) if axis.log else float(value)
