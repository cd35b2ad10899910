"""A search for several things at once: the front, and what does not go with it."""

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="etude[search] is not installed")

from rich.console import Console
from test_search_refilled import driven_on
from test_search_trials import bowl, search_in, states

from etude.base.errors import UserError
from etude.search import report
from etude.search.settings import SearchConf, read

TWO: dict[str, Any] = {
    "metric": ["validation_accuracy", "parameters"],
    "direction": ["maximize", "minimize"],
}


def width_of(words: Sequence[str]) -> int:
    return int(next(word for word in words if word.startswith("width=")).partition("=")[2])


def both(words: Sequence[str], number: int) -> list[float]:
    """The bowl is best at a width of 32, and each unit of width costs."""
    plain = [word for word in words if not word.startswith("seed=")]
    chance = random.Random(words[-1]).gauss(0, 0.01) if plain != [*words] else 0.0
    return [bowl(plain, number) + chance, 100.0 * width_of(words)]


def dominated(values: Sequence[float], by: Sequence[float]) -> bool:
    return by[0] >= values[0] and by[1] <= values[1] and tuple(by) != tuple(values)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_front_is_what_none_is_better_than(tmp_path: Path, sampler: str):
    search = search_in(tmp_path, both, n_trials=30, sampler=sampler, **TWO)
    search.run()
    assert states(search) == ["COMPLETE"] * 30
    expected = {
        trial.number
        for trial in search.trials
        if not any(dominated(trial.values, other.values) for other in search.trials)
    }
    found = report.front(search)
    assert {trial.number for trial in found} == expected
    assert [t.values[0] for t in found] == sorted((t.values[0] for t in found), reverse=True)
    assert 1 < len(found) < 30


def test_it_is_told_in_a_table_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    search = search_in(tmp_path, both, n_trials=25, sampler="random", **TWO)
    search.run()
    Console(width=120).print(*report.report(search, tmp_path), sep="\n", markup=False)
    text = capsys.readouterr().out
    table = text.partition("the front")[2].partition("importance")[0]
    for trial in report.front(search):
        assert f" {trial.number} " in table
        assert f"{trial.values[1]:.6g}" in table
    assert "share of validation_accuracy" in text
    for name in ("front.png", "importance.png", "parallel.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_four_objectives_have_a_table_and_no_picture(tmp_path: Path):
    def job(words: Sequence[str], number: int) -> list[float]:
        return [*both(words, number), float(number), -float(number)]

    search = search_in(
        tmp_path, job, n_trials=6, metric=["a", "b", "c", "d"], direction=["minimize"] * 4
    )
    search.run()
    assert list(report.report(search, tmp_path))
    assert not (tmp_path / "front.png").exists()


def test_a_pruner_is_off_and_one_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    search = search_in(tmp_path, both, n_trials=3, pruner="median", **TWO)
    with caplog.at_level(logging.WARNING, logger="etude"):
        search.run()
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["pruner=median compares one number; of several objectives it is off"]


def test_several_objectives_over_seeds_are_means_and_outlive_a_cut(tmp_path: Path):
    settings: dict[str, Any] = {"seeds": [0, 1, 2], "n_trials": 8, **TWO}
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = search_in(tmp_path / "whole", both, **settings)
    whole.run()
    for trial in whole.trials:
        words = whole.space.words(trial.params)
        values = [both([*words, f"seed={seed}"], 0)[0] for seed in (0, 1, 2)]
        assert trial.values[0] == pytest.approx(sum(values) / 3, abs=1e-12)
        assert trial.values[1] == 100.0 * width_of(words)
    ours = driven_on(lambda: search_in(tmp_path / "cut", **settings), cut=0.15, job=both)
    assert [(t.params, t.values) for t in ours.trials] == [
        (t.params, t.values) for t in whole.trials
    ]


@pytest.mark.parametrize("outcome", [1.0, [1.0], [1.0, None], [1.0, float("nan")], "ab", None])
def test_a_job_that_gives_not_one_number_for_each_fails(tmp_path: Path, outcome: object):
    search = search_in(tmp_path, lambda *_: outcome, n_trials=1, **TWO)
    search.run()
    assert states(search) == ["FAIL"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"metric": ["a", "b"]}, r"metric=\[a,b\] and .*direction=\[maximize\] must be as long"),
        ({"metric": ["a", "a"], "direction": ["maximize"] * 2}, "no metric may be there twice"),
        ({**TWO, "sampler": "cmaes"}, "cmaes looks for one metric alone"),
        ({**TWO, "direction": ["maximize", "up"]}, "direction=up"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(settings: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        read(SearchConf(**settings))


def test_a_list_of_one_is_that_one():
    settings = read(SearchConf(metric=["a"], direction=["minimize"]))
    assert (settings.metric, settings.direction) == ("a", "minimize")


def test_other_directions_are_another_search(tmp_path: Path):
    search_in(tmp_path, both, n_trials=1, **TWO).run()
    with pytest.raises(UserError, match=r"is to maximize and minimize; .*=\[maximize,minimize\]"):
        search_in(tmp_path, both, n_trials=1, metric=TWO["metric"], direction=["minimize"] * 2)
