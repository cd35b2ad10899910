"""A trial that is done over several seeds: what each came to, kept where Optuna keeps epochs."""

from collections.abc import Sequence

from optuna import Study
from optuna.trial import FrozenTrial

from etude.search.storage import note_epoch


def note_seed(study: Study, number: int, index: int, values: Sequence[float]) -> None:
    """Keep what a trial came to with a seed.

    Args:
        study: The trial's.
        number: The trial's.
        index: The seed's place among the search's.
        values: One for each objective.
    """
    for objective, value in enumerate(values):
        note_epoch(study, number, index * len(values) + objective, value)


def by_seed(trial: FrozenTrial, objectives: int) -> list[list[float]]:
    """Give what a trial came to with each seed so far: a value for each objective."""
    known = trial.intermediate_values
    steps = [range(i * objectives, (i + 1) * objectives) for i in range(len(known) // objectives)]
    return [[known[step] for step in own] for own in steps if all(step in known for step in own)]


def means(found: Sequence[Sequence[float]]) -> list[float]:
    """Give the mean over seeds of each objective."""
    return [sum(values) / len(found) for values in zip(*found, strict=True)]
