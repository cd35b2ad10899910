"""A search of Étude's own runs: from the words of a command, or of a study's file, to the best run.

A study with `search:` is a short name for the words of `etude -m hydra/sweeper=search …`; its runs
are those that the same words make one by one.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.errors import CompactHydraException
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError

from etude.base.errors import UserError
from etude.base.nearest import unknown
from etude.base.text import counted, near
from etude.cli import launching, study_jobs
from etude.cli.compose import Composer
from etude.cli.job import ComposedJob
from etude.cli.outcomes import outputs_needed
from etude.cli.run_job import RunJob
from etude.cli.terminal import complain, console, show_summary
from etude.cli.words import options
from etude.cli.words import parse as parse_words
from etude.config.schema import Config
from etude.preflight.checks import inspect
from etude.runs.notify import notify, of_many
from etude.runs.records import read_summary
from etude.runs.status import listed
from etude.search.outcome import FOLDER, NothingFound, has_folder
from etude.search.settings import BY_EPOCHS, TARGET, SearchConf, read
from etude.search.space import Space, check_sampler, check_seeds, parse

_METRICS = [f"{split}_{quantity}" for split in ("train", "validation", "test")
            for quantity in ("loss", "accuracy")]  # fmt: skip
_COSTS = ["parameters", "seconds"]  # known at a run's end
# What a setting must be, by its type.
_KINDS: Mapping[Any, str] = {
    int: "a whole number",
    int | None: "a whole number, or null",
    float: "a number",
    str: "a word",
    str | None: "a word, or null",
    list[int] | None: "a list of whole numbers, such as [0,1,2], or null",
    dict[str, Any] | None: "set key by key: hydra.sweeper.params.<key>=<values>",
}


class SearchWords(NamedTuple):
    """What a command asks to search for: its words, and a heading for people."""

    words: list[str]
    heading: str


def of_words(composer: Composer, overrides: list[str]) -> SearchWords | None:
    """Give the search that a sweep's words ask for; None if they ask for another sweeper.

    Raises:
        UserError: There is no such setting.
    """
    if "hydra/sweeper=search" in overrides:
        _check_settings(composer, overrides)
    is_search = composer.master(overrides).hydra.sweeper._target_ == TARGET
    return SearchWords(overrides, "") if is_search else None


def of_study(composer: Composer, overrides: list[str]) -> SearchWords | None:
    """Give the search that a study stands for; None if the study is a grid.

    Raises:
        UserError: The file lacks something, or a word does not go with a search.
    """
    given = study_jobs.split(composer.loader, overrides)
    seeds = [word for word in overrides if word.lstrip("+~").startswith("study.seeds")]
    # What is split off is rewritten (0,1 to [0,1]), so the same words are told by their key.
    others = [word for word in given.own if not word.lstrip("+~").startswith("study.seeds")]
    name, node, size, _ = study_jobs.chosen_by(composer, others)
    if "search" not in node:
        return None
    if not isinstance(node["search"], dict):
        raise UserError(f"study={name}: search is {node['search']!r}; it must be a mapping")
    if size != "full":
        raise UserError(f"study={name} is a search and has no twins; leave out size={size}")
    if seeds:
        raise UserError(
            f"{seeds[0]}: study={name} is a search, whose trials have one seed; with several, the "
            "word is hydra.sweeper.seeds=[0,1,2]"
        )
    if pretrained := [word for word in given.own if word.startswith("pretrained=")]:
        raise UserError(
            f"{pretrained[0]}: study={name} is a search and has no such arms; leave it out"
        )
    try:
        words = _words(name, node)
    except KeyError as error:
        raise UserError(f"study={name} has no {error.args[0]}") from error
    words += [*given.hydra, *given.others]
    _check_settings(composer, words)
    return SearchWords(words, f"search {name}: {node['question']}\nsource: {node['source']}")


def _words(name: str, node: Mapping[str, Any]) -> list[str]:
    settings = dict(cast("Mapping[str, Any]", node["search"]))
    space = cast("Mapping[str, str]", settings.pop("params"))
    return [
        "hydra/sweeper=search",
        f"experiment={node['experiment']}",
        f"name={name}",
        *(f"hydra.sweeper.{key}={value}" for key, value in settings.items()),
        *(str(word) for word in node.get("words", ())),
        *(f"{key}={value}" for key, value in space.items()),
    ]


def _check_settings(composer: Composer, words: list[str]) -> None:
    """Refuse settings that there are not, and values that no such setting has."""
    known = {f"hydra.sweeper.{field.name}": field for field in fields(SearchConf)}
    for word in words:
        key = word.partition("=")[0]
        if key.startswith("hydra.sweeper.") and ".".join(key.split(".")[:3]) not in known:
            raise UserError(f"{key}: {unknown(key, [*known])}")
        if key in known and not _fits(composer, word, known[key].name):
            raise UserError(f"{word} must be {_KINDS[known[key].type]}")


def _fits(composer: Composer, word: str, name: str) -> bool:
    """Say whether a setting can have a word's value; several of them are refused by Hydra."""
    (override,) = parse_words(composer.loader, [word])
    if name == "params":  # Hydra puts no mapping in the place of none
        return override.value() is None
    try:
        if not override.is_sweep_override():
            OmegaConf.update(OmegaConf.structured(SearchConf), name, override.value())
    except ValidationError:
        return False
    return True


def launch(composer: Composer, asked: SearchWords, *, dry_run: bool) -> int:
    """Check what a search may try, go on with it, and show the best run.

    Args:
        composer: Composes.
        asked: What is searched for.
        dry_run: Tell what would be done, and do nothing.

    Returns:
        The exit code: 0 if no trial is left to be done and a run is complete.

    Raises:
        UserError: The space or a setting is not valid; nothing has been written.
    """
    master = composer.master(asked.words)
    settings = read(master.hydra.sweeper)
    task = parse_words(composer.loader, asked.words)
    words = [str(word.input_line) for word in task if not word.is_hydra_override()]
    space = parse(words, settings.params, composer.loader)
    check_sampler(space, settings.sampler)
    check_seeds(space, settings.seeds)
    samples = [("", space.words(params)) for params in space.samples()]
    planned = composer.several(master, samples).jobs
    inspect([job.config for job in planned if job.local], ())
    for metric, direction in zip(settings.metrics, settings.directions, strict=True):
        _check_metric(metric, direction, settings, planned[0].config)
    console.print(asked.heading, style="bold", markup=False)
    if dry_run:
        return _list(settings, space, planned[0])
    # A number that begins with digits and an e would be read as another one.
    more = f"hydra.sweeper.identity=run-{planned[0].identity.fingerprint}"
    master = composer.master(asked.words, more, f"name={planned[0].config.name}")
    composer.jobs.clear()  # the samples are no trials
    try:
        with outputs_needed():
            launching.sweep(composer.loader, master, RunJob(composer, several=True), words)
    except CompactHydraException as error:
        if not isinstance(error.__cause__, NothingFound):
            raise
        complain(error)
        return 1
    finally:
        _tell(planned[0])
    return _show_best(planned[0], settings, space, options(composer.loader))


def _list(settings: SearchConf, space: Space, some: ComposedJob) -> int:
    """Tell what is searched over, and how far that is."""
    for key, axis in space.axes.items():
        console.print(f"{key}: {axis.told()}", markup=False)
    wanted, folder = settings.wanted(space.size), near(some.folder.parent)
    each = f" of up to {counted(settings.repeats, 'seed')}" if settings.seeds else ""
    told = f"{counted(wanted, 'trial')}{each} in all, below {folder}; nothing was started"
    console.print(told, markup=False)
    return 0


def _check_metric(metric: str, direction: str, settings: SearchConf, config: Config) -> None:
    if metric not in (known := [*_METRICS, *_COSTS]):
        raise UserError(f"hydra.sweeper.metric={metric}: {unknown(metric, known, 'metric')}")
    if metric.startswith("validation") and config.dataset.validation_split == "none":
        raise UserError(
            f"hydra.sweeper.metric={metric}: there is no such split; choose one with "
            "dataset.validation_split, so that the search does not look at the test split"
        )
    late = metric.startswith("test") and not config.train.test_every_epoch
    late |= metric in _COSTS
    if late and settings.pruner in BY_EPOCHS and len(settings.metrics) == 1:
        raise UserError(
            f"hydra.sweeper.metric={metric} is not known after every epoch; set "
            "hydra.sweeper.pruner=none or train.test_every_epoch=true"
        )
    if metric.endswith("accuracy") != (direction == "maximize"):
        raise UserError(
            f"hydra.sweeper.metric={metric} with hydra.sweeper.direction={direction} "
            "looks for the worst; an accuracy is to maximize, all else to minimize"
        )


def _tell(some: ComposedJob) -> None:
    """Tell whom it may concern what the trials came to."""
    states = Counter(str(run.state) for run in listed(some.folder.parent))
    notify(some.config.record.notify, of_many(some.folder.parent, states))


def _show_best(some: ComposedJob, settings: SearchConf, space: Space, more: Sequence[str]) -> int:
    from etude.search.storage import count_left, open_study  # noqa: PLC0415 (Optuna takes its time)

    folder, directions = some.folder.parent, settings.directions
    study = open_study(folder, storage=settings.storage, directions=directions)
    best, several = study.best_trials, len(directions) > 1
    if not several:
        best = [study.best_trial]
        if not settings.seeds:
            _show_run(best[0].number, Path(str(best[0].user_attrs[FOLDER])))
    for trial in sorted(best, key=lambda own: own.values[0], reverse=directions[0] == "maximize"):
        words = [word for word in space.words(trial.params) if _is_the_runs(word)]
        if settings.seeds:
            words = ["-m", *words, f"seed={','.join(map(str, settings.seeds))}"]
        if not has_folder(trial.user_attrs):
            gone = f"the folder of trial {trial.number} is gone; this command makes it again:"
            console.print(gone, markup=False)
        name = f"trial {trial.number} again" if several else "again       "
        console.print(f"{name} etude {shlex.join([*more, *words])}", markup=False)
    return 1 if count_left(study.trials, settings.wanted(space.size)) else 0


def _is_the_runs(word: str) -> bool:
    """Say whether a word makes a run what it is; fresh=true would move the best one aside."""
    key = word.lstrip("+~").partition("=")[0]
    return key != "fresh" and not key.startswith("hydra")


def _show_run(trial: int, folder: Path) -> None:
    summary = read_summary(folder)
    if summary is not None and "final" in summary:
        console.print(f"\nthe best run, trial {trial}", style="bold")
        show_summary(summary, folder)
