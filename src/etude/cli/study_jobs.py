"""A study's runs: from the words of a command to the jobs of its arms and seeds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from etude.base.errors import UserError
from etude.cli.compose import Composer
from etude.cli.hydra_door import Loader
from etude.cli.job import PlannedJobs
from etude.cli.study import KEYS, Study, in_rounds, read
from etude.cli.study_tuning import chosen, tuned, tuning_of
from etude.cli.words import parse, product

_AUTO = re.compile(r"study\.seeds=auto:(\d+)")


class StudyWords(NamedTuple):
    """A command's words: those that choose and change its study, Hydra's, and its runs'.

    Attributes:
        own: Its study's, but for `study.seeds=auto:<most>`.
        hydra: Hydra's.
        others: Those of its runs.
        most: Seeds of an arm, where arms get them in rounds; None where they do not.
    """

    own: list[str]
    hydra: list[str]
    others: list[str]
    most: int | None


def names_study(words: Sequence[str]) -> bool:
    """Say whether a command is about a study.

    Raises:
        UserError: It is not, and yet has a word that only studies know.
    """
    keys = {_key(word): word for word in words}
    if any(word.partition("=")[0] == "study" for word in words):
        return True
    for key in KEYS:
        if key in keys:
            raise UserError(f"{keys[key]} is for a study; add study=<name>, or leave it out")
    return False


def refuse_study(words: Sequence[str]) -> None:
    """Refuse words that stand for a study's runs, where one run is meant.

    Raises:
        UserError: There is one.
    """
    if names_study(words):
        word = next(word for word in words if _key(word) == "study")
        raise UserError(f"{word} stands for many runs; give one of them: experiment=<name>")


def split(loader: Loader, words: Sequence[str]) -> StudyWords:
    """Tell a study's own words from those that go to its runs.

    Raises:
        UserError: A word of its own has several values.
        HydraException: A word is no override.
    """
    parsed = parse(loader, words)
    studys = [word for word in parsed if _key(str(word.input_line)) in KEYS]
    others = [word for word in parsed if word not in studys]
    own = [_meant(word) for word in studys]
    rounds = [found for word in own if (found := _AUTO.fullmatch(word))]
    return StudyWords(
        own=[word for word in own if not _AUTO.fullmatch(word)],
        most=int(rounds[-1].group(1)) if rounds else None,
        hydra=[str(word.input_line) for word in others if word.is_hydra_override()],
        others=[str(word.input_line) for word in others if not word.is_hydra_override()],
    )


class Chosen(NamedTuple):
    """The study that a command's words choose: its name, what its file says, and its own words."""

    name: str
    node: Mapping[str, Any]
    size: str
    pretrained: bool


def chosen_by(composer: Composer, own: Sequence[str]) -> Chosen:
    """Find the study that words choose."""
    composed = composer.master([], *own)
    if not isinstance(composed.pretrained, bool):
        raise UserError(f"pretrained={composed.pretrained} must be true or false")
    node = cast("dict[str, Any]", OmegaConf.to_container(composed.study, resolve=True))
    if any(word.startswith("study.seeds=") for word in own):  # they go before a size's own
        node = {key: _without_seeds(value) for key, value in node.items()}
    name = str(composed.hydra.runtime.choices.study)
    return Chosen(name, node, composed.size, composed.pretrained)


def _without_seeds(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: inner for key, inner in value.items() if key != "seeds"}  # pyright: ignore[reportUnknownVariableType]


def plan(
    composer: Composer, words: Sequence[str], counts: Mapping[str, int] | None = None
) -> tuple[Study, PlannedJobs]:
    """Compose and check every run of a study, or those that are to choose its arms' rates first.

    Args:
        composer: Composes.
        words: The command's: the study's, and others that go to all of its runs.
        counts: Of each arm the seeds that it has in this round; None: those of the first.

    Returns:
        The study, its arms as tuning left them; or the tuning itself while a run of it is left.

    Raises:
        UserError: The study or a run's configuration is not valid.
        HydraException: A run cannot be composed.
    """
    given = split(composer.loader, words)
    name, node, size, pretrained = chosen_by(composer, given.own)
    study = read(name, node, size=size, pretrained=pretrained)
    if given.most is not None:
        study = in_rounds(study, given.most)
        study = study if counts is None else replace(study, counts=counts)
    _check_others(study, given.others)
    if any(arm.tune for arm in study.arms):
        tuning = tuning_of(study, partial(product, composer.loader))
        planned = _composed(composer, tuning, given)
        choices = chosen(tuning, planned.jobs)
        if choices is None:
            return tuning, planned
        study = tuned(study, choices)
    return study, _composed(composer, study, given)


def _composed(composer: Composer, study: Study, given: StudyWords) -> PlannedJobs:
    """Compose the runs of a study's arms and seeds."""
    master = composer.master([], *given.own, *given.hydra, f"name={study.name}")
    wanted = [
        (arm.name, expanded)
        for arm, run in study.runs()
        for expanded in product(composer.loader, _last_of_each(run, given.others))
    ]
    # A study's file knows what its own choices leave behind; a user may not.
    planned = composer.several(master, wanted, heeded={_key(word) for word in given.others})
    if lost := {arm.name for arm in study.arms} - {job.label for job in planned.jobs}:
        raise UserError(f"study={study.name}: arm {min(lost)} is the same run as an earlier arm")
    return planned


def _check_others(study: Study, others: Sequence[str]) -> None:
    """Refuse a word that would make arms alike, or that the study has a word of its own for."""
    varied = {w.partition("=")[0] for arm in study.arms for w in (*arm.words, *arm.tune)}
    for word in others:
        key = word.partition("=")[0]
        if key in {"experiment", "name"}:
            raise UserError(f"{word}: study={study.name} has its own {key}; leave it out")
        if key == "seed":
            raise UserError(f"{word}: a study's seeds are study.seeds={word.partition('=')[2]}")
        if key in varied:
            raise UserError(f"{word}: the arms of study={study.name} differ in {key}; leave it out")


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~").split(".")[0]


def _meant(word: Override) -> str:
    """Write `study.seeds=5,6` as the list that it means; other keys take one value."""
    key, line = word.key_or_group, str(word.input_line)
    if not word.is_sweep_override():
        return line
    if key != "study.seeds":
        raise UserError(f"{line}: a command has one {key}; give a command for each")
    return f"study.seeds=[{','.join(word.sweep_string_iterator())}]"


def _last_of_each(words: Sequence[str], others: Sequence[str]) -> list[str]:
    """Let a later word for a key take the place of an earlier one; the user's come last."""
    return list({word.partition("=")[0]: word for word in (*words, *others)}.values())
