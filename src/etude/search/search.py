"""The search: suggest, hand to the launcher, tell, until there are as many trials as wanted."""

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optuna import Study, TrialPruned
from optuna.trial import FrozenTrial, TrialState, create_trial

from etude.base.errors import UserError
from etude.base.text import first_line
from etude.search.outcome import ERROR, FOLDER, Outcome, Unfinished
from etude.search.prune import PRUNED
from etude.search.settings import SearchConf
from etude.search.space import Params, Space
from etude.search.storage import note
from etude.search.suggest import Notes, distributions, suggest

log = logging.getLogger(__name__)

_ABOUT = "about"  # the study's note of what it is a search for


Launch = Callable[[list[list[str]], int], Sequence[Outcome]]


@dataclass
class Search:
    """One process's part of a search.

    Args:
        study: Where all trials are kept.
        space: What is searched over.
        settings: How.
        launch: Does the jobs with these words, the first of which has this number; gives what
            they came to, in order.
        folder_of: Gives the folder of the job with these words and this number.
    """

    study: Study
    space: Space
    settings: SearchConf
    launch: Launch
    folder_of: Callable[[list[str], int], str]

    def __post_init__(self) -> None:
        self._begun: set[int] = set()  # trials that this process has handed to the launcher
        _same_search(self.study, self.space, self.settings)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Give all trials so far, by number."""
        return self.study.get_trials(deepcopy=False)

    def run(self) -> None:
        """Go on until there are as many trials as wanted."""
        self._announce()
        while True:
            batch = self._next_batch()
            if not batch and len(self.trials) >= self._wanted:
                return
            self._run_batch(batch)

    def _announce(self) -> None:
        states = [trial.state for trial in self.trials]
        half_done, done = states.count(TrialState.RUNNING), sum(s.is_finished() for s in states)
        half = f", {half_done} half done" if half_done else ""
        log.info("search: %d trials of %d are done%s", done, self._wanted, half)

    @property
    def _wanted(self) -> int:
        return self.settings.wanted(self.space.size)

    def _next_batch(self) -> list[int]:
        """Give the numbers of the trials to do next: first those that were cut off.

        A batch begins at a multiple of `n_jobs` and its numbers are neighbours, so that a search
        that was cut inside of a batch has the batches, and suggests what, it would have had.
        """
        trials, jobs = self.trials, self.settings.n_jobs
        waiting = [t.number for t in trials if not t.state.is_finished()]
        waiting = [number for number in waiting if number not in self._begun]
        first = waiting[0] if waiting else len(trials)
        end = (first // jobs + 1) * jobs
        neighbours = itertools.takewhile(lambda number: number in waiting, range(first, end))
        batch = list(neighbours)
        if first + len(batch) == len(trials):
            batch += list(self._ask_until(min(end, self._wanted)))
        return batch

    def _ask_until(self, end: int) -> Iterator[int]:
        """Begin new trials below a number, and give the numbers of those that can be run."""
        while (number := len(self.trials)) < end:
            params, notes = suggest(
                self.space,
                self.trials,
                sampler=self.settings.sampler,
                direction=self.settings.direction,
                seed=self.settings.seed,
            )
            if self._begin(number, params, notes):
                yield number

    def _begin(self, number: int, params: Params, notes: Notes) -> bool:
        """Put a trial into the storage, in one piece; say whether it can be run."""
        state = TrialState.RUNNING
        try:
            notes = notes | {FOLDER: self.folder_of(self.space.words(params), number)}
        except Exception as error:
            if number == 0:  # it is the command that is wrong
                raise
            state, notes = TrialState.FAIL, notes | {ERROR: _told(error)}
        for other in self.trials:
            if state == TrialState.RUNNING and other.user_attrs.get(FOLDER) == notes[FOLDER]:
                raise UserError(
                    f"trial {number} would work in the folder of trial {other.number}, "
                    f"{notes[FOLDER]}: what is searched over does not decide the folder"
                )
        spanned = distributions(self.space)
        trial = create_trial(state=state, params=params, distributions=spanned, user_attrs=notes)
        self.study.add_trial(trial)
        return state == TrialState.RUNNING

    def _run_batch(self, numbers: list[int]) -> None:
        trials = self.trials
        given_up = [n for n in numbers if PRUNED in trials[n].user_attrs]
        for number in given_up:  # just before its process was killed
            self._tell(number, None)
        numbers = [number for number in numbers if number not in given_up]
        self._begun |= {*numbers, *given_up}
        for run in _neighbours(numbers):
            for number in run:
                log.info(
                    "\ntrial %d (%d in all)  %s", number, self._wanted, self._varied(trials[number])
                )
            words = [self.space.words(trials[number].params) for number in run]
            for number, outcome in zip(run, self._launched(words, run[0]), strict=True):
                self._tell(number, outcome)

    def _varied(self, trial: FrozenTrial) -> str:
        axes = self.space.axes
        return " ".join(axes[key].word(value) for key, value in trial.params.items())

    def _launched(self, words: list[list[str]], first: int) -> Sequence[Outcome]:
        """Do jobs; where the launcher as a whole fails, find out which of them it was."""
        try:
            return self.launch(words, first)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever ends a launcher's workers)
            if len(words) == 1:
                return [error]
            log.warning("%s; each of these trials is done again by itself", _told(error))
        return [
            outcome
            for number, own in enumerate(words, first)
            for outcome in self._launched([own], number)
        ]

    def _tell(self, number: int, outcome: Outcome) -> None:
        trial = self.trials[number]
        pruned = PRUNED in trial.user_attrs or isinstance(outcome, TrialPruned)
        if isinstance(outcome, Unfinished):
            return
        if pruned:
            self.study.tell(number, state=TrialState.PRUNED)
            after = trial.user_attrs.get(PRUNED, trial.last_step)
            log.info("trial %d was hopeless after epoch %s", number, after)
        elif (value := _number(outcome)) is not None:
            self.study.tell(number, value)
            best = self.study.best_trial
            log.info(
                "trial %d: %s %.6g; the best so far is trial %d with %.6g",
                *(number, self.settings.metric, value, best.number, best.value),
            )
        else:
            text = _told(outcome) if isinstance(outcome, Exception) else "it gave no number"
            note(self.study, number, ERROR, text)
            self.study.tell(number, state=TrialState.FAIL)
            log.warning("trial %d failed: %s", number, text)


def _same_search(study: Study, space: Space, settings: SearchConf) -> None:
    """Refuse to mix the trials of two searches."""
    shared = settings.identity or " ".join(sorted(space.shared))
    now = {**space.describe(), "metric": settings.metric, "shared": shared}
    then: dict[str, str] | None = study.user_attrs.get(_ABOUT)
    if then is None:
        study.set_user_attr(_ABOUT, now)
    elif then != now:
        changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        what = "what its jobs share" if changed == ["shared"] else ", ".join(changed)
        raise UserError(
            f"this folder holds another search ({what} differs); give this one its own: "
            "name=<another>, or hydra.sweep.dir=<another>"
        )


def _neighbours(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Split numbers into runs without gaps: a launcher counts on from the first."""
    for _, group in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        yield [number for _, number in group]


def _number(outcome: Outcome) -> float | None:
    try:
        value = float(outcome)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
