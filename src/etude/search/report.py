"""What a search has found: its best trials, what mattered, and two figures in its folder."""

import statistics
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
from etude.search.repeats import by_seed
from etude.search.search import Search

_SHOWN = 5
_ENOUGH = 4  # complete trials; a forest of fewer says nothing


def report(search: Search, folder: Path) -> Iterator[Table | str]:
    """Give the best trials, and each key's importance; draw both into the folder.

    Raises:
        NothingFound: No trial is complete.
    """
    complete = best_first(search)
    yield from _counts(search)
    if not complete:
        raise NothingFound(f"none of the {len(search.trials)} trials in {near(folder)} is complete")
    from etude.search.figures import draw_importance, draw_parallel  # noqa: PLC0415 (takes its time)

    weights = importance(search.study, complete)
    yield _over_seeds(search, complete) if search.settings.seeds else _best(search, complete)
    if weights:
        yield _importance(weights)
        path = folder / "importance.png"
        draw_importance(search.study, path, search.settings, evaluator=_evaluator())
    keys = list(search.space.axes)
    draw_parallel(search.study, keys, folder / "parallel.png", search.settings)
    more = f", and {n - 1} with other seeds" if (n := search.settings.repeats) > 1 else ""
    yield f"the best  {complete[0].user_attrs[FOLDER]}{more}"
    yield f"figures   {near(folder)}/*.png"


def best_first(search: Search) -> list[FrozenTrial]:
    """Give the complete trials, the best one first."""
    return _sorted(search, [t for t in search.trials if t.state == TrialState.COMPLETE])


def _sorted(search: Search, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    sign = -1 if search.settings.direction == "maximize" else 1
    return sorted(trials, key=lambda trial: sign * (trial.value or 0.0))


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


def _spared(search: Search) -> str:
    """Count the runs that were spared because their trial was worse."""
    stopped = [trial for trial in search.trials if trial.state == TrialState.PRUNED]
    spared = sum(search.settings.repeats - len(by_seed(trial, 1)) for trial in stopped)
    return f"; {spared} runs spared" if search.settings.seeds and spared else ""


def _counts(search: Search) -> Iterator[str]:
    trials = search.trials
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned",
             TrialState.FAIL: "failed", TrialState.RUNNING: "half done"}  # fmt: skip
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {name}" for state, name in names.items() if state in states]
    yield f"\n{len(trials)} trials: {', '.join(counts)}{_spared(search)}"
    for trial in trials:
        if trial.state == TrialState.FAIL:
            error = trial.user_attrs.get(ERROR, "for reasons unknown")
            yield f"trial {trial.number} failed: {error}"


def _best(search: Search, trials: list[FrozenTrial]) -> Table:
    names = search.space.names.values()
    table = _table(f"the best trials by {search.settings.metric}", "trial", "value", *names)
    for trial in trials[:_SHOWN]:
        words = search.space.short(trial.params).values()
        table.add_row(str(trial.number), f"{trial.value:.6g}", *words)
    return table


def _over_seeds(search: Search, complete: list[FrozenTrial]) -> Table:
    """Show the best trials' means, and below them those that were given up before the last seed."""
    title = f"trials by their mean {search.settings.metric}"
    table = _table(title, "trial", "mean", "std", "seeds", *search.space.names.values())
    given_up = [trial for trial in search.trials if trial.state == TrialState.PRUNED]
    for trial in [*complete[:_SHOWN], *_sorted(search, given_up)[:_SHOWN]]:
        found = by_seed(trial, 1)
        values = [value for (value,) in found]
        mean, spread = statistics.fmean(values), statistics.stdev(values) if found[1:] else 0.0
        made = "" if trial.state == TrialState.COMPLETE else f" of {search.settings.repeats}, worse"
        words = search.space.short(trial.params).values()
        table.add_row(
            *(str(trial.number), f"{mean:.6g}", f"{spread:.2g}", f"{len(found)}{made}", *words)
        )
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
