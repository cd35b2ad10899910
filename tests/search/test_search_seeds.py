"""A search whose trials are done over several seeds: means, and worse trials that stop early."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="etude[search] is not installed")

from rich.console import Console
from test_search_refilled import driven_on
from test_search_trials import SPACE, bowl, search_in, states

from etude.base.errors import UserError
from etude.search import report
from etude.search.repeats import by_seed
from etude.search.search import Search
from etude.search.settings import SearchConf, read
from etude.search.space import Space, check_seeds

SEEDS = [3, 1, 4, 15, 9, 2]


def noisy(words: Sequence[str], number: int) -> float:
    """A bowl, and a little chance by the seed."""
    *own, seed = words
    return bowl(own, number) + random.Random(seed).gauss(0, 0.01)


def seeds_of(search: Search, handed: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for words in handed:
        found.setdefault(" ".join(words[:-1]), []).append(int(words[-1].partition("=")[2]))
    return found


def test_a_trials_value_is_its_mean_over_all_seeds(tmp_path: Path):
    done: list[Sequence[str]] = []
    search = search_in(
        tmp_path, lambda *job: done.append(job[0]) or noisy(*job), n_trials=4, seeds=SEEDS
    )
    search.run()
    assert states(search) == ["COMPLETE"] * 4
    for trial in search.trials:
        words = SPACE.words(trial.params)
        values = [noisy([*words, f"seed={seed}"], 0) for seed in SEEDS]
        assert trial.value == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert list(seeds_of(search, done).values()) == [SEEDS] * 4


@pytest.mark.parametrize("refilled", [False, True])
def test_worse_trials_stop_before_their_last_seed_and_the_best_never_does(
    tmp_path: Path, refilled: bool
):
    search = search_in(
        tmp_path, noisy, n_trials=20, n_jobs=2, seeds=SEEDS, pruner="wilcoxon", sampler="random"
    )
    if refilled:
        jobs = search.exchange([])
        while jobs:
            job = jobs.pop(0)
            jobs += search.exchange([(job.number, noisy(job.words, job.number))])
    else:
        search.run()
    stopped = [trial for trial in search.trials if trial.state.name == "PRUNED"]
    assert len(stopped) > 10
    # Of four differences of one sign the test is sure at 1/16.
    assert {len(by_seed(trial, 1)) for trial in stopped} <= {4, 5}
    true = [bowl(SPACE.words(trial.params), 0) for trial in search.trials]
    assert search.trials[true.index(max(true))].state.name == "COMPLETE"


def test_the_report_tells_means_and_what_was_spared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    search = search_in(
        tmp_path, noisy, n_trials=12, seeds=SEEDS, pruner="wilcoxon", sampler="random"
    )
    search.run()
    Console(width=120).print(*report.report(search, tmp_path), sep="\n", markup=False)
    text = capsys.readouterr().out
    stopped = [trial for trial in search.trials if trial.state.name == "PRUNED"]
    spared = sum(len(SEEDS) - len(by_seed(trial, 1)) for trial in stopped)
    assert f"{len(stopped)} pruned; {spared} runs spared" in text
    assert "trials by their mean validation_accuracy" in text
    assert " of 6, worse " in text
    assert "and 5 with other seeds" in text


def test_a_search_over_seeds_cut_anywhere_equals_one_that_was_left_alone(tmp_path: Path):
    settings: dict[str, Any] = {"seeds": SEEDS, "pruner": "wilcoxon", "n_trials": 10}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    search_in(tmp_path / "whole", noisy, **settings).run()
    ours = driven_on(lambda: search_in(tmp_path / "cut", **settings), cut=0.15, job=noisy)
    theirs = search_in(tmp_path / "whole", **settings)
    assert [(t.params, t.state, t.intermediate_values) for t in ours.trials] == [
        (t.params, t.state, t.intermediate_values) for t in theirs.trials
    ]


def test_a_seed_that_fails_ends_its_trial(tmp_path: Path):
    def job(words: Sequence[str], number: int) -> float:
        if number == 7:
            raise ValueError("no such luck")
        return noisy(words, number)

    search = search_in(tmp_path, job, n_trials=3, seeds=SEEDS)
    search.run()
    assert states(search) == ["COMPLETE", "FAIL", "COMPLETE"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": [1, 1]}, r"seeds=\[1, 1\] has one of them twice"),
        ({"seeds": [0, 1, 2], "pruner": "median"}, "take wilcoxon or none"),
        ({"pruner": "wilcoxon"}, "before the last of 0 seeds"),
        ({"seeds": [0, 1, 2, 3], "pruner": "wilcoxon"}, r"give .*seeds=\[0, 1, 2, 3, 4\] or more"),
        ({"seeds": SEEDS, "pruner": "wilcoxon", "p_threshold": 1.5}, "must be between 0 and 1"),
    ],
)
def test_seeds_and_a_pruner_that_do_not_go_together_are_refused(
    settings: dict[str, Any], said: str
):
    with pytest.raises(UserError, match=said):
        read(SearchConf(**settings))


def test_as_few_seeds_as_a_pruner_can_spare_one_of_are_taken():
    assert read(SearchConf(seeds=[0, 1, 2, 3, 4], pruner="wilcoxon")).repeats == 5
    assert read(SearchConf(seeds=[0, 1, 2], pruner="wilcoxon", p_threshold=0.3)).repeats == 3


def test_a_seed_beside_those_of_the_search_is_refused():
    space = Space((*SPACE.items, "seed=7"))
    check_seeds(space, None)
    with pytest.raises(UserError, match=r"seed=7: the seeds are those of hydra\.sweeper\.seeds"):
        check_seeds(space, SEEDS)


def test_other_seeds_are_another_search(tmp_path: Path):
    search_in(tmp_path, noisy, seeds=SEEDS, n_trials=1).run()
    with pytest.raises(UserError, match=r"another search \(seeds differs"):
        search_in(tmp_path, noisy, seeds=SEEDS[:3])


def test_seeds_that_share_a_folder_are_refused(tmp_path: Path):
    search = search_in(tmp_path, noisy, seeds=SEEDS, folder_of=lambda words, _: words[0])
    with pytest.raises(UserError, match="would all work in lr="):
        search.run()
