"""Sweeps with keys that change together, and sweeps after another."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from etude.base.errors import UserError
from etude.cli import hydra_door, sweeps
from etude.cli.compose import Composer

Etude = Callable[..., int]
QUICK = ["train.epochs=1", "dataset.limit_train=80", "dataset.limit_test=20",
         "record.curves=false", "record.tensorboard=false"]  # fmt: skip
KEYS = ["seed", "l2", "scale", "optimizer.lr", "train.epochs", "train.batch_size"]


@pytest.fixture(scope="module")
def loader() -> hydra_door.Loader:
    return hydra_door.make_loader()


def values(draw: random.Random, count: int) -> list[str]:
    return [str(draw.randint(1, 9)) for _ in range(count)]


def drawn(draw: random.Random) -> tuple[list[str], list[list[dict[str, str]]]]:
    """Draw one sweep: its words, and for each word the settings of each of its values."""
    keys = draw.sample(KEYS, draw.randint(1, len(KEYS)))
    words: list[str] = []
    levels: list[list[dict[str, str]]] = []
    while keys:
        own = [keys.pop() for _ in range(min(len(keys), draw.choice([1, 1, 2, 3])))]
        count = draw.randint(1, 3)
        columns = [values(draw, count) for _ in own]
        parts = [f"{k}={','.join(v)}" for k, v in zip(own, columns, strict=True)]
        words.append(parts[0] if len(own) == 1 else f"zip({'; '.join(parts)})")
        levels.append([dict(zip(own, row, strict=True)) for row in zip(*columns, strict=True)])
    return words, levels


def by_brute_force(levels: list[list[dict[str, str]]]) -> list[dict[str, str]]:
    """Try every combination of places, and keep those that the words stand for."""
    places = itertools.product(*(range(len(level)) for level in levels))
    jobs: list[dict[str, str]] = []
    for place in places:
        job: dict[str, str] = {}
        for level, index in zip(levels, place, strict=True):
            job.update(level[index])
        jobs.append(job)
    return jobs


def test_two_hundred_random_sweeps_are_what_counting_them_out_gives(loader: hydra_door.Loader):
    draw = random.Random(3)
    for _ in range(200):
        several = [drawn(draw) for _ in range(draw.randint(1, 3))]
        words = several[0][0] + [w for own, _ in several[1:] for w in ["+", *own]]
        expected = [job for _, levels in several for job in by_brute_force(levels)]
        _, parts = sweeps.split(loader, words)
        found = [job for own in parts for job in sweeps.expand(loader, own)]
        assert [dict(w.split("=", 1) for w in job) for job in found] == expected, words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["zip(l2=1,2; seed=1)"], "l2 has 2, seed has 1"),
        (["zip(l2=1,2; seed=1,2"], "is not closed"),
        (["zip(l2=1,2)"], "two keys or more"),
        (["seed=1", "zip(l2=1,2; seed=1,2)"], "seed is given twice"),
        (["zip(l2=1,2; seed=1,2)", "seed=1"], "seed is given twice"),
        (["seed=1", "+"], "between two sweeps"),
    ],
)
def test_a_sweep_that_means_nothing_is_refused(
    loader: hydra_door.Loader, words: list[str], said: str
):
    with pytest.raises(UserError, match=said):
        [sweeps.expand(loader, own) for own in sweeps.split(loader, words).sweeps]


def test_a_semicolon_in_quotes_divides_nothing(loader: hydra_door.Loader):
    assert sweeps.expand(loader, ["zip(name='a;b',c; seed=1,2)"]) == [
        ["name='a;b'", "seed=1"],
        ["name=c", "seed=2"],
    ]


def test_jobs_of_two_sweeps_are_composed_and_those_named_twice_are_made_once(composer: Composer):
    planned = sweeps.plan(
        composer, ["zip(optimizer.lr=0.1,0.01; train.batch_size=128,32)", "+", "optimizer.lr=0.1",
                   "train.batch_size=128", "seed=0,1", "hydra/launcher=basic"],
    )  # fmt: skip
    found = [(j.config.optimizer.lr, j.config.train.batch_size, j.config.seed)
             for j in planned.jobs]  # fmt: skip
    assert found == [(0.1, 128, 0), (0.01, 32, 0), (0.1, 128, 1)]
    assert planned.remarks == ["named twice and made once: 1 of 4 jobs"]
    assert str(planned.master.hydra.launcher._target_).endswith("BasicLauncher")


def test_without_m_a_zip_is_told_what_it_lacks(etude: Etude, capsys: pytest.CaptureFixture[str]):
    assert etude("zip(optimizer.lr=0.1,0.01; seed=0,1)") == 2
    assert "is for sweeps: add -m" in capsys.readouterr().err


def test_a_key_that_is_given_twice_is_told(loader: hydra_door.Loader):
    assert sweeps.repeated(loader, ["seed=0,1", "l2=0", "seed=5"]) == [
        "seed=0,1 does not hold: seed=5 comes after it"
    ]


def test_a_sweep_ends_by_saying_which_arm_leads_and_whether_that_is_sure(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude("-m", "zip(optimizer.lr=0.001,0.01; seed=0,1)", *QUICK) == 0
    told = capsys.readouterr().out
    assert "but nobody can say how sure that is: every arm has one seed" in told
    assert "lr=0.001" in told
    assert "report       etude-report outputs/lenet5_digits" in told
    assert "┃ run" not in told  # the launcher's table has said where the runs stand
