"""A search whose trials begin as others end: no slot waits for the slowest, and none is lost."""

import io
import random
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="etude[search] is not installed")

from test_search_cut import cut, finish, trials_in
from test_search_trials import SPACE, Cut, bowl, search_in, states, suggestions

from etude.launch.expected import seconds_left
from etude.launch.job import Entry, Job, Settings
from etude.launch.loop import JobsDisplay, Loop
from etude.launch.machine import CPU
from etude.launch.table import _total
from etude.launch.task import About
from etude.runs.state import RunState
from etude.search.outcome import TrialJob, Unfinished
from etude.search.search import Search


def seconds_of(number: int) -> float:
    """Trials of very unequal length: from 1 to 8 seconds."""
    return 1.0 + 7 * random.Random(number).random()


class Clockwork(Loop):
    """The launcher's loop with so many slots, and a clock that jumps to the next job's end."""

    def __init__(self, jobs: Sequence[Job], *, slots: int, **given: Any) -> None:
        super().__init__(jobs, settings=Settings(threads=1), **given)
        self.slots, self.now = slots, 0.0
        self.begun: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def _start_one(self, entry: Entry) -> bool:
        if len(self._running()) >= self.slots:
            return False
        entry.begin(CPU, io.BytesIO())
        self.begun[entry.job.number] = self.now
        return True

    def _await(self) -> None:
        def end(entry: Entry) -> float:
            return self.begun[entry.job.number] + seconds_of(entry.job.number)

        if running := self._running():
            first = min(running, key=end)
            self.now = self.ended[first.job.number] = end(first)
            self._ended(first, 0)

    def _signal(self, entry: Entry, number: signal.Signals) -> None:
        raise AssertionError

    def _close(self) -> None:
        raise AssertionError


class Quiet:
    def changed(self, entry: Entry) -> None: ...

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None: ...


def job_of(asked: TrialJob, *, finished: bool = False) -> Job:
    about = About(finished=finished)
    return Job(asked.number, asked.label, Path(str(asked.number)), about, call=bytes)


def busy(loop: Clockwork) -> float:
    """The share of the slots' time that was spent on trials, until there was none to begin."""
    end = max(loop.begun.values())
    spent = sum(min(loop.ended[n], end) - begun for n, begun in loop.begun.items())
    return spent / (loop.slots * end)


def through_the_loop(
    search: Search, *, slots: int, found_finished: Sequence[int] = ()
) -> Clockwork:
    words: dict[int, list[str]] = {}

    def refill(ended: Sequence[Entry], *, more: bool) -> list[Job]:
        outcomes = [(e.job.number, bowl(words[e.job.number], e.job.number)) for e in ended]
        asked = search.exchange(outcomes, more=more)
        words.update({each.number: each.words for each in asked})
        return [job_of(each, finished=each.number in found_finished) for each in asked]

    display: JobsDisplay = Quiet()
    loop = Clockwork(refill([], more=True), slots=slots, display=display, refill=refill)
    loop.run()
    return loop


def test_two_slots_are_busy_on_trials_of_unequal_length(tmp_path: Path):
    search = search_in(tmp_path, n_trials=30, n_jobs=2)
    loop = through_the_loop(search, slots=2)
    assert busy(loop) >= 0.95
    assert states(search) == ["COMPLETE"] * 30
    assert [trial.value for trial in search.trials] == [
        bowl(search.space.words(trial.params), 0) for trial in search.trials
    ]


def test_trials_that_are_found_finished_take_no_place_and_end_no_search(tmp_path: Path):
    search = search_in(tmp_path, n_trials=12, n_jobs=2)
    loop = through_the_loop(search, slots=2, found_finished=[0, 1, 5, 11])
    assert states(search) == ["COMPLETE"] * 12
    assert sorted(loop.begun) == [2, 3, 4, 6, 7, 8, 9, 10]


def drive(
    search: Search, chance: random.Random, *, cut: float, job: Callable[..., Any] = bowl
) -> list[int]:
    """Do what a search asks for, ending some job of those at work at a time, or the process."""
    at_work = search.exchange([])
    handed = [job.number for job in at_work]
    while at_work:
        if chance.random() < cut:
            raise Cut
        own = at_work.pop(chance.randrange(len(at_work)))
        more = search.exchange([(own.number, job(own.words, own.number))])
        handed += [each.number for each in more]
        at_work += more
        assert len(at_work) <= search.settings.n_jobs
    return handed


def driven_on(make: Callable[[], Search], *, cut: float, job: Callable[..., Any] = bowl) -> Search:
    """Drive a search that is cut now and then, and gone on with, to its end; give it anew."""
    chance = random.Random(0)
    for _ in range(300):
        with suppress(Cut):
            drive(make(), chance, cut=cut, job=job)
            return make()
    raise AssertionError("it was cut every time")


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_with_one_slot_a_search_cut_anywhere_equals_one_that_was_left_alone(
    tmp_path: Path, sampler: str
):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    search_in(tmp_path / "whole", sampler=sampler).run()
    ours = driven_on(lambda: search_in(tmp_path / "cut", sampler=sampler), cut=0.3)
    theirs = search_in(tmp_path / "whole", sampler=sampler)
    assert suggestions(ours) == suggestions(theirs)
    assert [t.value for t in ours.trials] == [t.value for t in theirs.trials]
    assert states(ours) == ["COMPLETE"] * 15


def test_with_several_slots_a_cut_search_loses_no_trial_and_goes_on_with_those_at_work(
    tmp_path: Path,
):
    chance = random.Random(1)
    for _ in range(100):
        search = search_in(tmp_path, n_jobs=3, n_trials=20)
        begun = [t.number for t in search.trials if not t.state.is_finished()]
        try:
            handed = drive(search, chance, cut=0.2)
            break
        except Cut:
            continue
    assert handed[: len(begun)] == begun
    assert states(search) == ["COMPLETE"] * 20
    for trial in search.trials:
        assert trial.value == bowl(SPACE.words(trial.params), trial.number)


def test_a_trial_that_was_asked_to_stop_is_for_the_next_command(tmp_path: Path):
    search = search_in(tmp_path, n_jobs=2, n_trials=3)
    first, second = search.exchange([])
    third = search.exchange([(first.number, Unfinished())])
    assert [job.number for job in third] == [2]
    ended = [(job.number, 1.0) for job in (second, *third)]
    assert search.exchange(ended, more=False) == []
    assert states(search) == ["RUNNING", "COMPLETE", "COMPLETE"]
    assert search.exchange([]) == []
    again = search_in(tmp_path, n_jobs=2, n_trials=3)
    assert again.exchange([]) == [first]


def test_when_no_more_may_begin_results_are_told_and_nothing_is_suggested(tmp_path: Path):
    search = search_in(tmp_path, n_jobs=2, n_trials=9)
    jobs = search.exchange([])
    assert search.exchange([(job.number, 1.0) for job in jobs], more=False) == []
    assert states(search) == ["COMPLETE", "COMPLETE"]
    assert search.to_come == 7


def test_trials_to_come_are_counted_and_their_time_is_expected(tmp_path: Path):
    loop = Clockwork([job_of(TrialJob(n, [], f"{n}")) for n in (0, 1)], slots=1, display=Quiet())
    first, second = loop.entries.values()
    first.state, first.seconds, first.tries = RunState.FINISHED, 10.0, 1
    second.begin(CPU, io.BytesIO())
    told = _total([first, second], places=1, stopping=False, to_come=5)
    assert told == "2 jobs: 1 running, 1 finished, 5 to come; about 60 s left"
    assert seconds_left([first, second], places=1, to_come=5) == pytest.approx(60, abs=1)


APP = """
import os, random, time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

def begun():
    # When this process was: what it imports is its own time.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    with (folder / "times").open("a") as file:
        print(f"{cfg.x!r} {begun()}", file=file, flush=True)
        number = HydraConfig.get().job.num
        time.sleep(cfg.scale * (1 + 7 * random.Random(number).random()))
        print(f"{cfg.x!r} {time.time()}", file=file, flush=True)
    return (cfg.x - 0.3) ** 2

if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore
    ConfigStore.instance().store("config", {"x": 0.0, "scale": 1.0})
    app()
"""


def command_in(folder: Path, *, trials: int, jobs: int, scale: float) -> list[str]:
    (folder / "app.py").write_text(APP)
    return [
        sys.executable, "app.py", "-m", "hydra/sweeper=search", "hydra/launcher=local",
        "hydra.launcher.preload=[]", f"hydra.launcher.jobs_per_device={jobs}",
        f"hydra.sweeper.n_trials={trials}", f"hydra.sweeper.n_jobs={jobs}",
        "hydra.sweeper.direction=minimize", "hydra.sweep.dir=sweep", "x=interval(0,1)",
        f"scale={scale}",
    ]  # fmt: skip


def times(folder: Path, number: int) -> list[tuple[str, float]]:
    lines = (folder / "sweep" / str(number) / "times").read_text().splitlines()
    return [(x, float(at)) for x, at in (line.split() for line in lines)]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system when a process began")
@pytest.mark.slow  # a minute: what lies between two trials must be small beside them
def test_two_slots_of_this_machine_are_busy_for_95_percent_of_the_time(tmp_path: Path):
    finish(command_in(tmp_path, trials=8, jobs=2, scale=3.0), tmp_path)
    runs = [times(tmp_path, number) for number in range(8)]
    first, last = (fold(begun for (_, begun), _ in runs) for fold in (min, max))
    spent = sum(min(ended, last) - begun for (_, begun), (_, ended) in runs)
    share = spent / (2 * (last - first))
    assert share >= 0.95


@pytest.mark.slow
def test_a_refilled_search_is_killed_and_interrupted_and_loses_no_trial(tmp_path: Path):
    command = command_in(tmp_path, trials=9, jobs=2, scale=0.1)

    def begun(number: int) -> Any:
        return (tmp_path / "sweep" / str(number) / "times").exists

    assert cut(command, tmp_path, when=begun(2), by=signal.SIGKILL) == -signal.SIGKILL
    assert cut(command, tmp_path, when=begun(6), by=signal.SIGINT) == 130
    assert "9 trials: 9 complete" in finish(command, tmp_path)
    for trial in trials_in(tmp_path / "sweep", "minimize"):
        lines = times(tmp_path, trial.number)
        assert {x for x, _ in lines} == {repr(trial.params["x"])}
        assert trial.value == (trial.params["x"] - 0.3) ** 2
