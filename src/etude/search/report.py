"""What a search has found: its best trials, what mattered, and two figures in its folder."""

import warnings
from collections.abc import Iterator
from pathlib import Path

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.text import near
from etude.search.outcome import ERROR, FOLDER, NothingFound
from etude.search.search import Search

_SHOWN = 5
_ENOUGH = 4  # complete trials; a forest of fewer says nothing


def report(search: Search, folder: Path) -> Iterator[Table | str]:
    """Give the best trials, and each key's importance; draw both into the folder.

    Raises:
        NothingFound: No trial is complete.
    """
    complete = best_first(search)
    yield from _counts(search.trials)
    if not complete:
        raise NothingFound(f"none of the {len(search.trials)} trials in {near(folder)} is complete")
    from etude.search.figures import draw_importance, draw_parallel  # noqa: PLC0415 (takes its time)

    weights = importance(search.study, complete)
    yield _best(search, complete[:_SHOWN])
    if weights:
        yield _importance(weights)
        path = folder / "importance.png"
        draw_importance(search.study, path, search.settings, evaluator=_evaluator())
    keys = list(search.space.axes)
    draw_parallel(search.study, keys, folder / "parallel.png", search.settings)
    yield f"the best  {complete[0].user_attrs[FOLDER]}"
    yield f"figures   {near(folder)}/*.png"


def best_first(search: Search) -> list[FrozenTrial]:
    """Give the complete trials, the best one first."""
    complete = [trial for trial in search.trials if trial.state == TrialState.COMPLETE]
    sign = -1 if search.settings.direction == "maximize" else 1
    return sorted(complete, key=lambda trial: sign * (trial.value or 0.0))


def importance(study: Study, complete: list[FrozenTrial]) -> dict[str, float]:
    """Give the share of the result's variance that each key explains, by functional ANOVA.

    Hutter, Hoos & Leyton-Brown, ICML 2014. Empty where there are too few trials, or all are equal.
    """
    if len(complete) < _ENOUGH or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        return get_param_importances(study, evaluator=_evaluator())


def _evaluator() -> FanovaImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0)


def _counts(trials: list[FrozenTrial]) -> Iterator[str]:
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned",
             TrialState.FAIL: "failed", TrialState.RUNNING: "half done"}  # fmt: skip
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {name}" for state, name in names.items() if state in states]
    yield f"\n{len(trials)} trials: {', '.join(counts)}"
    for trial in trials:
        if trial.state == TrialState.FAIL:
            error = trial.user_attrs.get(ERROR, "for reasons unknown")
            yield f"trial {trial.number} failed: {error}"


def _best(search: Search, trials: list[FrozenTrial]) -> Table:
    names = search.space.names.values()
    table = _table(f"the best trials by {search.settings.metric}", "trial", "value", *names)
    for trial in trials:
        words = search.space.short(trial.params).values()
        table.add_row(str(trial.number), f"{trial.value:.6g}", *words)
    return table


def _importance(weights: dict[str, float]) -> Table:
    table = _table("importance: share of the variance that a key explains", "key", "share")
    for key, weight in weights.items():
        table.add_row(key, f"{weight:.2f}")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
