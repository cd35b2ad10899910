"""Fair arms: each is given the best of a few rates, chosen on the validation split.

The runs that choose are a study of their own, `<name>_tuning`, with one seed that the study does
not have: what an arm is then measured by owes nothing to the choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from etude.base.errors import UserError
from etude.cli.job import ComposedJob
from etude.cli.study import TUNING_SEED, Study, StudyArm
from etude.runs.records import read_summary
from etude.runs.state import RunState
from etude.runs.status import state_of

_SCORE = "validation_accuracy"
Expand = Callable[[Sequence[str]], list[list[str]]]
# Of each arm the candidate's words.
Choices = Mapping[str, tuple[str, ...]]


def tuning_of(study: Study, expand: Expand) -> Study:
    """Make the study that chooses: its arms are those that have a choice, with each candidate.

    Args:
        study: Whose arms have words to tune.
        expand: Turns words with several values into the words of each combination.
    """
    arms = tuple(
        StudyArm(f"{arm.name} {' '.join(words)}", (*arm.words, *words), (arm.name, " ".join(words)))
        for arm in study.arms
        if arm.tune
        for words in expand(arm.tune)
    )
    return replace(
        study,
        name=f"{study.name}_tuning",
        question=f"Which rate suits each arm of {study.name}?",
        claim=f"None; the best on the validation split goes to {study.name}.",
        arms=arms,
        baseline=arms[0].name,
        seeds=(TUNING_SEED,),
        axes=("arm", "candidate"),
        claims=(),
        chooses=True,
        looks=(),
        counts={},
    )


def chosen(tuning: Study, jobs: Sequence[ComposedJob]) -> Choices | None:
    """Choose each arm's candidate by the runs that have been made; None while one is left.

    Raises:
        UserError: A run has no validation split to be chosen by.
    """
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for arm, job in zip(tuning.arms, jobs, strict=True):
        score = _score(job)
        if score is None:
            return None
        name, candidate = arm.levels
        if name not in best or score > best[name][0]:
            best[name] = (score, tuple(candidate.split(" ")))
    return {name: words for name, (_, words) in best.items()}


def tuned(study: Study, choices: Choices) -> Study:
    """Give each arm its candidate's words."""
    arms = tuple(
        replace(arm, words=(*arm.words, *choices.get(arm.name, ())), tune=()) for arm in study.arms
    )
    told = {arm.name: f"{' '.join(choices[arm.name])} of {' '.join(arm.tune)}"
            for arm in study.arms if arm.name in choices}  # fmt: skip
    return replace(study, arms=arms, tuned=told)


def _score(job: ComposedJob) -> float | None:
    """Give a run's validation accuracy, the least of all if it failed; None while it is left."""
    if job.config.dataset.validation_split == "none":
        raise UserError(
            "a study with tune: needs a validation split to choose by; "
            "set dataset.validation_split=stratified"
        )
    summary = read_summary(job.folder)
    state = state_of(summary)
    if summary is None or not (state.has_result or state is RunState.DIVERGED):
        return None
    found = summary.get("final", {}).get(_SCORE) if state.has_result else None
    return found if isinstance(found, float) else -1.0
