"""The search: suggest, hand out, tell, until there are as many trials as wanted.

Where the launcher can, a new trial begins as soon as another ends; else a batch at a time.
"""

import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optuna import Study, TrialPruned
from optuna.trial import FrozenTrial, TrialState, create_trial

from etude.base.errors import UserError
from etude.base.text import counted
from etude.search.outcome import (
    ERROR,
    FOLDER,
    DiskFull,
    Outcome,
    TrialJob,
    Unfinished,
    numbers,
    told,
    unfinished,
)
from etude.search.prune import PRUNED, is_worse
from etude.search.repeats import by_seed, means, note_seed
from etude.search.settings import SearchConf
from etude.search.space import Params, Space
from etude.search.storage import check_same_search, note
from etude.search.suggest import Notes, distributions, suggest

log = logging.getLogger(__name__)

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
        self._at_work: set[int] = set()  # trials that have been handed out
        self._put_off: set[int] = set()  # trials that are left for the next command
        self._full = False  # whether the disk is, so that no other trial would come to its end
        check_same_search(self.study, self.space, self.settings)

    @property
    def trials(self) -> list[FrozenTrial]:
        """Give all trials so far, by number."""
        return self.study.get_trials(deepcopy=False)

    @property
    def _objectives(self) -> int:
        return len(self.settings.metrics)

    @property
    def to_come(self) -> int:
        """Count the trials that are still to be suggested."""
        missing = self.settings.wanted(self.space.size) - len(self.trials)
        return 0 if self._full else max(0, missing)

    def run(self, refilled: Callable[["Search"], None] | None = None) -> None:
        """Go on until there are as many trials as wanted.

        Args:
            refilled: Does the jobs that `exchange` gives, and tells it of each that ends; None: all
                of a batch have to end before the next one begins.
        """
        self._announce()
        if refilled is not None:
            refilled(self)
            return
        while True:
            jobs = self._next(blocks=True)
            if not jobs and not self.to_come:
                return
            for job in jobs:
                self._tell_begun(job)
            for number, outcome in self._done_together(jobs):
                self._take(number, outcome)

    def exchange(
        self, ended: Sequence[tuple[int, Outcome]], *, more: bool = True
    ) -> list[TrialJob]:
        """Take note of jobs that have ended; give those that are to begin.

        Args:
            ended: Of each its number and what it came to.
            more: Whether any may begin.
        """
        for number, outcome in ended:
            self._take(number, outcome)
        return self._next(blocks=False) if more else []

    def _announce(self) -> None:
        states = [trial.state for trial in self.trials]
        half_done, done = states.count(TrialState.RUNNING), sum(s.is_finished() for s in states)
        half = f", {half_done} half done" if half_done else ""
        of = counted(len(states) + self.to_come, "trial")
        log.info("search: %d of %s done%s", done, of, half)
        if self._objectives > 1 and self.settings.pruner != "none":
            pruner = self.settings.pruner
            log.warning("pruner=%s compares one number; of several objectives it is off", pruner)

    def _next(self, *, blocks: bool) -> list[TrialJob]:
        """Give what is to be done next: first the trials that were cut off.

        Args:
            blocks: Whether trials are begun in blocks, each of which begins at a multiple of
                `n_jobs`, so that a search that was cut inside of one suggests what it would have.
        """
        jobs, waiting = self.settings.n_jobs, self._waiting()
        first = waiting[0] if waiting else len(self.trials)
        end = (first // jobs + 1) * jobs if blocks else sys.maxsize
        free = jobs - len(self._at_work)
        chosen = [number for number in waiting if number < end][:free]
        chosen += itertools.islice(self._ask_until(end), free - len(chosen))
        self._at_work.update(chosen)
        return [self._job(number) for number in chosen]

    def _waiting(self) -> list[int]:
        """Give the trials that have begun and that nobody is at work on."""
        for trial in self.trials:
            if not trial.state.is_finished() and trial.number not in self._at_work:
                self._settle(trial)
        known = self._at_work | self._put_off
        return [t.number for t in self.trials if not t.state.is_finished() if t.number not in known]

    def _settle(self, trial: FrozenTrial) -> None:
        """Tell of a trial that nothing more is to be done for, as its notes have it."""
        if PRUNED in trial.user_attrs:  # just before its process was killed
            self._tell_pruned(trial)
        elif found := by_seed(trial, self._objectives) if self.settings.seeds else []:
            judged = self.settings.pruner == "wilcoxon" and self._objectives == 1
            if len(found) == self.settings.repeats:
                self._tell_values(trial.number, means(found))
            elif judged and is_worse(self.study, trial, level=self.settings.p_threshold):
                self._tell_worse(trial, len(found))

    def _job(self, number: int) -> TrialJob:
        """Give a trial's next job; with several seeds it is told apart by the seed's place."""
        trial, repeats = self.trials[number], self.settings.repeats
        index = len(by_seed(trial, self._objectives)) if self.settings.seeds else 0
        label = " ".join(f"{key}={word}" for key, word in self.space.short(trial.params).items())
        if self.settings.seeds:
            label += f" seed={self.settings.seeds[index]}"
        words = self._words(trial.params, index)
        return TrialJob(number * repeats + index, words, f"{number}: {label}")

    def _words(self, params: Params, index: int) -> list[str]:
        seeds = self.settings.seeds
        return [*self.space.words(params), *([f"seed={seeds[index]}"] if seeds else [])]

    def _ask_until(self, end: int) -> Iterator[int]:
        """Begin new trials below a number, and give the numbers of those that can be run."""
        while (number := len(self.trials)) < end and self.to_come:
            params, notes = suggest(
                self.space,
                self.trials,
                sampler=self.settings.sampler,
                directions=self.settings.directions,
                seed=self.settings.seed,
            )
            if self._begin(number, params, notes):
                yield number

    def _begin(self, number: int, params: Params, notes: Notes) -> bool:
        """Put a trial into the storage, in one piece; say whether it can be run."""
        state = TrialState.RUNNING
        try:
            notes = notes | {FOLDER: self._folder(number, params)}
        except Exception as error:
            if number == 0:  # it is the command that is wrong
                raise
            state, notes = TrialState.FAIL, notes | {ERROR: told(error)}
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

    def _folder(self, number: int, params: Params) -> str:
        """Give the folder of a trial's first job; the first trial shows that each has its own."""
        repeats = self.settings.repeats
        folders = [
            self.folder_of(self._words(params, index), number * repeats + index)
            for index in range(repeats if number == 0 else 1)
        ]
        if len(set(folders)) < len(folders):
            raise UserError(f"the seeds of trial {number} would all work in {folders[0]}")
        return folders[0]

    def _tell_begun(self, job: TrialJob) -> None:
        number, index = divmod(job.number, self.settings.repeats)
        words = self.space.varied(self.trials[number].params)
        if self.settings.seeds:
            words.append(f"seed={self.settings.seeds[index]}")
        wanted = len(self.trials) + self.to_come
        log.info("\ntrial %d (%d in all)  %s", number, wanted, " ".join(words))

    def _done_together(self, jobs: Sequence[TrialJob]) -> Iterator[tuple[int, Outcome]]:
        """Do a batch; a launcher counts on from its first job, so one without gaps at a time."""
        for _, group in itertools.groupby(enumerate(jobs), lambda pair: pair[1].number - pair[0]):
            part = [job for _, job in group]
            outcomes = self._launched([job.words for job in part], part[0].number)
            yield from zip([job.number for job in part], outcomes, strict=True)

    def _launched(self, words: list[list[str]], first: int) -> Sequence[Outcome]:
        """Do jobs; where the launcher as a whole fails, find out which of them it was."""
        try:
            return self.launch(words, first)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever ends a launcher's workers)
            if len(words) == 1:
                return [error]
            log.warning("%s; each of these trials is done again by itself", told(error))
        return [
            outcome
            for number, own in enumerate(words, first)
            for outcome in self._launched([own], number)
        ]

    def _take(self, job: int, outcome: Outcome) -> None:
        """Take note of what a job came to."""
        number, index = divmod(job, self.settings.repeats)
        self._at_work.discard(number)
        trial = self.trials[number]
        if (why := unfinished(outcome)) is not None:
            self._leave(number, why)
        elif PRUNED in trial.user_attrs or isinstance(outcome, TrialPruned):
            self._tell_pruned(trial)
        elif (values := numbers(outcome, self._objectives)) is not None:
            if self.settings.seeds:
                note_seed(self.study, number, index, values)
                self._settle(self.trials[number])
            else:
                self._tell_values(number, values)
        else:
            lacking = "number" if self._objectives == 1 else counted(self._objectives, "number")
            text = told(outcome) if isinstance(outcome, Exception) else f"it gave no {lacking}"
            note(self.study, number, ERROR, text)
            self.study.tell(number, state=TrialState.FAIL)
            log.warning("trial %d failed: %s", number, text)

    def _leave(self, number: int, why: Unfinished) -> None:
        """Leave a trial as it is, for the next command to go on with."""
        self._put_off.add(number)
        self._full |= isinstance(why, DiskFull)
        if str(why):
            log.warning("trial %d did not finish: %s", number, why)

    def _tell_pruned(self, trial: FrozenTrial) -> None:
        self.study.tell(trial.number, state=TrialState.PRUNED)
        after = trial.user_attrs.get(PRUNED, trial.last_step)
        log.info("trial %d was hopeless after epoch %s", trial.number, after)

    def _tell_worse(self, trial: FrozenTrial, seeds: int) -> None:
        best = self.study.best_trial.number
        repeats = counted(self.settings.repeats, "seed")
        self.study.tell(trial.number, state=TrialState.PRUNED)
        log.info(
            "trial %d is worse than trial %d after %d of %s (Wilcoxon's test, p < %g)",
            *(trial.number, best, seeds, repeats, self.settings.p_threshold),
        )

    def _tell_values(self, number: int, values: Sequence[float]) -> None:
        self.study.tell(number, values)
        found = zip(self.settings.metrics, values, strict=True)
        text = ", ".join(f"{metric} {value:.6g}" for metric, value in found)
        best = self.study.best_trials
        if self._objectives == 1:
            so_far = f"the best so far is trial {best[0].number} with {best[0].value:.6g}"
        else:
            so_far = f"on the front so far: {', '.join(str(trial.number) for trial in best)}"
        log.info("trial %d: %s; %s", number, text, so_far)
