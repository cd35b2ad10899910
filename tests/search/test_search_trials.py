"""What is suggested, and what becomes of trials, with an objective that takes no time."""

import math
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="etude[search] is not installed")

from optuna.trial import TrialState
from rich.console import Console

from etude.base.errors import UserError
from etude.search import report
from etude.search.axis import Choices, Numbers
from etude.search.outcome import ERROR, FOLDER, NothingFound, Unfinished
from etude.search.prune import Pruner
from etude.search.search import Search
from etude.search.settings import SearchConf
from etude.search.space import Space
from etude.search.storage import open_study

LR = Numbers("lr", 1e-4, 1.0, log=True)
SPACE = Space((LR, Numbers("width", 1, 64, whole=True, step=1), Choices("act", ("relu", "tanh"))))
SMALL = Space((Choices("a", ("1", "2", "3")), Choices("b", ("x", "y"))))


def bowl(words: Sequence[str], number: int) -> float:
    """Best at lr = 0.01, width = 32 and relu; the value is 0 there, and lower elsewhere."""
    del number
    values = dict(word.split("=") for word in words)
    lr, width = math.log10(float(values["lr"])) + 2, (int(values["width"]) - 32) / 16
    return -(lr**2) - width**2 - (values["act"] != "relu")


def search_in(
    folder: Path,
    job: Callable[[Sequence[str], int], Any] = bowl,
    *,
    space: Space = SPACE,
    folder_of: Callable[[list[str], int], str] = lambda _, number: str(number),
    **settings: Any,
) -> Search:
    """A search whose launcher does jobs one after the other, as Hydra's basic one does."""

    def launch(words: list[list[str]], first: int) -> list[Any]:
        outcomes: list[Any] = []
        for number, own in enumerate(words, first):
            try:
                outcomes.append(job(own, number))
            except Exception as error:  # noqa: BLE001 (as launchers do)
                outcomes.append(error)
        return outcomes

    conf = SearchConf(**{"n_trials": 15, **settings})
    study = open_study(folder, storage=conf.storage, directions=conf.directions)
    return Search(study, space, conf, launch=launch, folder_of=folder_of)


def suggestions(search: Search) -> list[dict[str, Any]]:
    return [trial.params for trial in search.trials]


def states(search: Search) -> list[str]:
    return [trial.state.name for trial in search.trials]


class Cut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_identical_seeds_give_identical_suggestions_and_others_give_others(
    tmp_path: Path, sampler: str
):
    found: list[list[dict[str, Any]]] = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        search = search_in(tmp_path / name, sampler=sampler, seed=seed)
        search.run()
        found.append(suggestions(search))
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("sampler", "jobs", "storage"),
    [("tpe", 1, "journal"), ("tpe", 4, "sqlite"), ("cmaes", 1, "journal"), ("cmaes", 4, "journal")],
)
def test_a_search_cut_anywhere_equals_one_that_was_left_alone(
    tmp_path: Path, sampler: str, jobs: int, storage: str
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    search_in(whole, sampler=sampler, n_jobs=jobs).run()
    chance = random.Random(jobs)

    def job(words: Sequence[str], number: int) -> float:
        if chance.random() < 0.3:
            raise Cut
        return bowl(words, number)

    settings = {"sampler": sampler, "n_jobs": jobs, "storage": storage}
    for _ in range(100):
        try:
            search_in(cut, job, **settings).run()
            break
        except Cut:
            continue
    ours, theirs = search_in(cut, **settings), search_in(whole)
    assert suggestions(ours) == suggestions(theirs)
    assert [t.value for t in ours.trials] == [t.value for t in theirs.trials]
    assert states(ours) == ["COMPLETE"] * 15


def test_a_batch_whose_results_were_told_in_part_is_not_followed_by_others_suggestions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    search_in(tmp_path / "whole", n_jobs=4).run()
    search = search_in(tmp_path / "cut", n_jobs=4)
    take = Search._take

    def take_some(self: Search, number: int, outcome: object) -> None:
        if number == 6:
            raise Cut
        take(self, number, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(Search, "_take", take_some)
        with pytest.raises(Cut):
            search.run()
    again = search_in(tmp_path / "cut", n_jobs=4)
    assert states(again)[4:] == ["COMPLETE", "COMPLETE", "RUNNING", "RUNNING"]
    again.run()
    assert suggestions(again) == suggestions(search_in(tmp_path / "whole"))


@pytest.mark.parametrize("sampler", ["grid", "tpe", "random"])
@pytest.mark.parametrize("jobs", [1, 4])
def test_no_suggestion_is_repeated_and_a_finite_space_is_covered(
    tmp_path: Path, sampler: str, jobs: int
):
    search = search_in(
        tmp_path, lambda *_: 1.0, space=SMALL, sampler=sampler, n_trials=50, n_jobs=jobs
    )
    search.run()
    assert sorted(tuple(params.values()) for params in suggestions(search)) == [
        (a, b) for a in "123" for b in "xy"
    ]


def test_a_grid_without_a_number_of_trials_is_done_whole(tmp_path: Path):
    search = search_in(tmp_path, lambda *_: 1.0, space=SMALL, sampler="grid", n_trials=None)
    search.run()
    assert len(search.trials) == 6


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_sampler_learns_from_what_it_was_told(tmp_path: Path, sampler: str):
    search = search_in(tmp_path, sampler=sampler, n_trials=60)
    search.run()
    values = [float(trial.values[0]) for trial in search.trials]
    assert sum(values[-15:]) > sum(values[:15])  # they are negative
    assert max(values[-30:]) > max(values[:10])


def test_more_trials_go_on_from_those_there_are(tmp_path: Path):
    search_in(tmp_path, n_trials=5).run()
    done: list[int] = []
    more = search_in(tmp_path, lambda *job: done.append(job[1]) or bowl(*job), n_trials=8)
    more.run()
    assert done == [5, 6, 7]
    assert len(more.trials) == 8


def test_a_job_that_fails_is_told_so_and_the_search_goes_on(tmp_path: Path):
    def job(words: Sequence[str], number: int) -> object:
        if number == 2:
            raise ValueError("no such luck\nat all")
        return {3: None, 4: math.nan, 5: "text"}.get(number, bowl(words, number))

    search = search_in(tmp_path, job, n_trials=8)
    search.run()
    failed = [trial.number for trial in search.trials if trial.state == TrialState.FAIL]
    assert failed == [2, 3, 4, 5]
    assert search.trials[2].user_attrs[ERROR] == "ValueError: no such luck"
    assert states(search).count("COMPLETE") == 4


def test_a_launcher_that_fails_as_a_whole_costs_no_trial_but_the_guilty(tmp_path: Path):
    search = search_in(tmp_path, n_trials=6, n_jobs=3)
    launched: list[list[int]] = []

    def launch(words: list[list[str]], first: int) -> list[float]:
        numbers = list(range(first, first + len(words)))
        launched.append(numbers)
        if 4 in numbers:
            raise RuntimeError("a worker was killed")
        return [bowl(own, number) for number, own in zip(numbers, words, strict=True)]

    search.launch = launch
    search.run()
    assert states(search) == [*["COMPLETE"] * 4, "FAIL", "COMPLETE"]
    assert launched == [[0, 1, 2], [3, 4, 5], [3], [4], [5]]


def test_a_job_that_a_launcher_left_for_later_is_done_by_the_next_command(tmp_path: Path):
    first = search_in(tmp_path, n_trials=3)
    first.launch = lambda words, _: [Unfinished() for _ in words]
    first.run()
    assert states(first) == ["RUNNING"] * 3
    second = search_in(tmp_path, n_trials=3)
    second.run()
    assert states(second) == ["COMPLETE"] * 3
    assert suggestions(first) == suggestions(second)


def test_a_configuration_that_cannot_be_composed_fails_alone_unless_it_is_the_first(tmp_path: Path):
    def folder_of(words: list[str], number: int) -> str:
        del words
        if number in bad:
            raise UserError("it cannot be")
        return str(number)

    bad = [0]
    with pytest.raises(UserError, match="it cannot be"):
        search_in(tmp_path, folder_of=folder_of).run()
    bad = [1, 3]
    search = search_in(tmp_path, folder_of=folder_of, n_trials=5, n_jobs=2)
    search.run()
    assert states(search) == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "COMPLETE"]


def test_two_trials_never_share_a_folder(tmp_path: Path):
    with pytest.raises(UserError, match="would work in the folder of trial 0, same"):
        search_in(tmp_path, folder_of=lambda *_: "same").run()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": SMALL}, "another search"),
        ({"identity": "other"}, "what its jobs share differs"),
        ({"metric": "other"}, "metric differs"),
        ({"direction": "minimize"}, "is to maximize"),
        ({"storage": "sqlite"}, "kept in search.journal"),
    ],
)
def test_the_trials_of_two_searches_are_never_mixed(
    tmp_path: Path, changed: dict[str, Any], said: str
):
    search_in(tmp_path, n_trials=2).run()
    with pytest.raises(UserError, match=said):
        search_in(tmp_path, n_trials=4, **changed)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks the system for open files")
def test_no_database_stays_open_whether_a_search_ends_is_cut_or_fails(tmp_path: Path):
    def cut(words: Sequence[str], number: int) -> float:
        raise Cut

    def same(words: list[str], number: int) -> str:
        return "same"

    searches = [search_in(tmp_path, cut, storage="sqlite")]
    with pytest.raises(Cut):
        searches[0].run()
    searches.append(search_in(tmp_path, folder_of=same, storage="sqlite"))
    with pytest.raises(UserError, match="would work in the folder"):
        searches[1].run()
    searches.append(search_in(tmp_path, n_trials=2, storage="sqlite"))
    searches[2].run()
    opened = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    assert not [path for path in opened if Path(path).name.startswith("search.db")]


def test_a_journal_whose_last_line_was_cut_off_is_mended(tmp_path: Path):
    search_in(tmp_path, n_trials=4).run()
    journal = tmp_path / "search.journal"
    journal.write_bytes(journal.read_bytes()[:-7])
    search = search_in(tmp_path, n_trials=8)
    search.run()
    assert states(search) == ["COMPLETE"] * 8
    assert states(search_in(tmp_path)) == ["COMPLETE"] * 8


def curve(number: int) -> list[float]:
    """Epochs 1 to 9 of a job: every third is hopeless from the second epoch on."""
    return [0.5 + epoch / 10 if number % 3 else 0.1 for epoch in range(9)]


@pytest.mark.parametrize(
    ("pruner", "storage"), [("median", "journal"), ("hyperband", "journal"), ("median", "sqlite")]
)
def test_hopeless_jobs_are_pruned_and_hopeful_ones_are_not(
    tmp_path: Path, pruner: str, storage: str
):
    settings = {"pruner": pruner, "storage": storage, "n_trials": 16, "startup_trials": 3}
    epochs: dict[int, int] = {}

    def job(words: Sequence[str], number: int) -> float | None:
        del words
        judge = Pruner(tmp_path, number, SearchConf(**settings))
        rows: list[dict[str, Any]] = []
        for epoch, value in enumerate(curve(number), 1):
            rows.append({"epoch": epoch, "validation_accuracy": value})
            epochs[number] = epoch
            if judge.prune(rows) and epoch < 9:
                return None
        return rows[-1]["validation_accuracy"]

    search = search_in(tmp_path, job, **settings)
    search.run()
    pruned = [trial.number for trial in search.trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert all(number % 3 == 0 for number in pruned)
    assert all(epochs[number] < 9 for number in pruned)
    assert states(search).count("COMPLETE") == 16 - len(pruned)


def test_a_job_killed_just_after_it_was_given_up_is_not_run_again(tmp_path: Path):
    settings = {"pruner": "median", "n_trials": 6, "startup_trials": 2}
    ran: list[int] = []

    def job(words: Sequence[str], number: int) -> float | None:
        ran.append(number)
        judge = Pruner(tmp_path, number, SearchConf(**settings))
        value = 0.1 if number == 4 else 0.8
        rows = [{"epoch": epoch, "validation_accuracy": value} for epoch in (1, 2, 3)]
        if judge.prune(rows):
            raise Cut
        return value

    with pytest.raises(Cut):
        search_in(tmp_path, job, **settings).run()
    search = search_in(tmp_path, job, **settings)
    search.run()
    assert ran == [0, 1, 2, 3, 4, 5]
    assert states(search)[4] == "PRUNED"


def test_the_report_shows_the_best_what_mattered_and_two_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    search = search_in(tmp_path, n_trials=40, sampler="random")
    search.run()
    Console().print(*report.report(search, tmp_path), sep="\n", markup=False)
    text = capsys.readouterr().out
    best = max(search.trials, key=lambda trial: trial.value or -math.inf)
    assert "40 trials: 40 complete" in text
    assert f"the best  {best.user_attrs[FOLDER]}" in text
    weights = report.importance(search.study, report.best_first(search))
    assert set(weights) == {"lr", "width", "act"}
    assert min(weights["lr"], weights["width"]) > weights["act"]
    for name in ("importance.png", "parallel.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_one_complete_trial_is_drawn_without_a_warning(tmp_path: Path):
    search = search_in(tmp_path, n_trials=1)
    search.run()
    assert list(report.report(search, tmp_path))
    assert (tmp_path / "parallel.png").exists()
    assert not (tmp_path / "importance.png").exists()


def test_a_search_that_found_nothing_says_so(tmp_path: Path):
    search = search_in(tmp_path, lambda *_: None, n_trials=3)
    search.run()
    with pytest.raises(NothingFound, match=r"of 3 trials in .* none is complete"):
        list(report.report(search, tmp_path))
