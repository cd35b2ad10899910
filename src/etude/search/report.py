"""What a search has found: its best trials, what mattered, and two figures in its folder."""

import statistics
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.text import counted, near
from etude.search.outcome import ERROR, FOLDER, NothingFound, has_folder
from etude.search.repeats import by_seed
from etude.search.search import Search
from etude.search.storage import count_left

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
        raise NothingFound(
            f"of {counted(len(search.trials), 'trial')} in {near(folder)} none is complete"
        )
    metrics = search.settings.metrics
    if len(metrics) > 1:
        yield _front(search)
    else:
        yield _over_seeds(search, complete) if search.settings.seeds else _best(search, complete)
    shares = {m: importance(search.study, complete, of) for of, m in enumerate(metrics)}
    if any(shares.values()):
        yield _importance(shares)
    _draw(search, folder, shares)
    more = f", and {n - 1} with other seeds" if (n := search.settings.repeats) > 1 else ""
    for trial in front(search) if len(metrics) > 1 else complete[:1]:
        name = "the best " if len(metrics) == 1 else f"trial {trial.number:<3}"
        gone = "" if has_folder(trial.user_attrs) else "; its folder is gone"
        yield f"{name} {trial.user_attrs[FOLDER]}{more}{gone}"
    yield f"figures   {near(folder)}/*.png"


def _draw(search: Search, folder: Path, shares: Mapping[str, Any]) -> None:
    from etude.search import figures  # noqa: PLC0415 (takes its time)

    study, settings = search.study, search.settings
    if shares[settings.metrics[0]]:
        path = folder / "importance.png"
        figures.draw_importance(study, path, settings, evaluator=_evaluator())
    figures.draw_parallel(study, list(search.space.axes), folder / "parallel.png", settings)
    if len(settings.metrics) in {2, 3}:  # more have no picture
        figures.draw_front(study, folder / "front.png", settings)


def front(search: Search) -> list[FrozenTrial]:
    """Give the trials that none is better than in one objective and as good in the others."""
    return _sorted(search, search.study.best_trials)


def best_first(search: Search) -> list[FrozenTrial]:
    """Give the complete trials, the best one first."""
    return _sorted(search, [t for t in search.trials if t.state == TrialState.COMPLETE])


def _sorted(search: Search, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    sign = -1 if search.settings.directions[0] == "maximize" else 1
    return sorted(trials, key=lambda trial: sign * (trial.values or [0.0])[0])


def importance(study: Study, complete: list[FrozenTrial], objective: int = 0) -> dict[str, float]:
    """Give the share of the result's variance that each key explains, by functional ANOVA.

    Hutter, Hoos & Leyton-Brown, ICML 2014. Empty where there are too few trials, or all are equal.
    """

    def value(trial: FrozenTrial) -> float:
        return trial.values[objective]

    if len(complete) < _ENOUGH or len(set(map(value, complete))) < 2:
        return {}
    with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
        return get_param_importances(study, evaluator=_evaluator(), target=value)


def _evaluator() -> FanovaImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0)


def _spared(search: Search) -> str:
    """Count the runs that were spared because their trial was worse."""
    stopped = [trial for trial in search.trials if trial.state == TrialState.PRUNED]
    spared = sum(search.settings.repeats - len(by_seed(trial, 1)) for trial in stopped)
    return f"; {counted(spared, 'run')} spared" if search.settings.seeds and spared else ""


def _counts(search: Search) -> Iterator[str]:
    trials = search.trials
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned",
             TrialState.FAIL: "failed", TrialState.RUNNING: "half done"}  # fmt: skip
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {name}" for state, name in names.items() if state in states]
    yield f"\n{counted(len(trials), 'trial')}: {', '.join(counts)}{_spared(search)}"
    wanted = search.settings.wanted(search.space.size)
    if left := count_left(trials, wanted):
        of = counted(max(len(trials), wanted), "trial")
        yield f"{left} of {of} did not finish; the same command goes on"
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


def _front(search: Search) -> Table:
    """Show the trials among which to choose."""
    metrics = search.settings.metrics
    title = "the front: trials that no other is better than in all"
    table = _table(title, "trial", *metrics, *search.space.names.values())
    for trial in front(search):
        values = [f"{value:.6g}" for value in trial.values]
        table.add_row(str(trial.number), *values, *search.space.short(trial.params).values())
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


def _importance(shares: Mapping[str, Mapping[str, float]]) -> Table:
    """Show what explains each metric; one that is the same for all trials is explained by none."""
    known = {metric: own for metric, own in shares.items() if own}
    columns = ["share"] if len(shares) == 1 else [f"share of {metric}" for metric in known]
    table = _table("importance: share of the variance that a key explains", "key", *columns)
    for key in next(iter(known.values())):
        table.add_row(key, *(f"{own[key]:.2f}" for own in known.values()))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
