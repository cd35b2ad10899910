"""A study whose arms get seeds in rounds, through the real command."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import summary_of

from etude.runs.study import read_plan

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
QUICK = ["train.epochs=3", "dataset.limit_train=200", "dataset.limit_test=60",
         "record.curves=false", "record.tensorboard=false", "hydra/launcher=basic"]  # fmt: skip


def study(workplace: Path, seeds: str = "auto:6") -> list[str]:
    """Two arms that are alike, and one that learns nothing."""
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rates.yaml").write_text(
        "question: Which rate?\nseeds: [4, 5]\n"
        "full: {experiment: lenet5_digits, baseline: low, axes: {rate: {low: [optimizer.lr=0.01], "
        "near: [optimizer.lr=0.0101], lost: [optimizer.lr=1e-9]}}}\n"
    )
    return ["--config-dir=conf", "study=rates", f"study.seeds={seeds}", *QUICK]


def seeds_by_rate(workplace: Path) -> dict[float, list[int]]:
    found: dict[float, list[int]] = {}
    for path in workplace.glob("outputs/rates/*/summary.json"):
        own = summary_of(path.parent)
        found.setdefault(own["hyperparameters"]["optimizer.lr"], []).append(own["seed"])
    return {rate: sorted(own) for rate, own in found.items()}


def rounds_told(text: str) -> list[str]:
    return re.findall(r"^round .*", text, re.MULTILINE)


@pytest.mark.slow
def test_only_undecided_arms_get_seeds_and_a_cut_study_goes_on_in_its_round(
    etude: Etude, workplace: Path, capsys: Output
):
    words = study(workplace)
    assert etude(*words) == 0
    told = rounds_told(capsys.readouterr().out)
    assert told == [
        "round 1 of 2, 3 seeds: 1 of 2 arms decided; 3 more seeds for “low”, “near”",
        "round 2 of 2, 6 seeds: 1 of 2 arms decided; the limit is 6 seeds",
    ]
    all_of = {0.01: [4, 5, 6, 7, 8, 9], 0.0101: [4, 5, 6, 7, 8, 9], 1e-9: [4, 5, 6]}
    assert seeds_by_rate(workplace) == all_of
    plan = read_plan(workplace / "outputs" / "rates")
    assert plan is not None
    assert plan["looks"] == 2
    lost = next(workplace.glob("outputs/rates/*0.0101*seed=8-*"))
    times = {p: p.stat().st_mtime_ns for p in workplace.glob("outputs/rates/*/metrics.jsonl")}
    shutil.rmtree(lost)
    assert etude(*words) == 0
    text = capsys.readouterr().out
    assert "then up to 6 seeds for arms that are undecided, in 2 rounds of 3, 6" in text
    assert rounds_told(text) == told
    assert seeds_by_rate(workplace) == all_of
    again = {p: p.stat().st_mtime_ns for p in workplace.glob("outputs/rates/*/metrics.jsonl")}
    assert [path.parent for path in times if again[path] != times[path]] == [lost]


def test_a_limit_that_is_no_more_than_the_first_round_is_refused(
    etude: Etude, workplace: Path, capsys: Output
):
    assert etude(*study(workplace, "auto:3")) == 2
    assert "study.seeds=auto:3 must be above 3" in capsys.readouterr().err
    assert etude(*study(workplace, "auto")) == 2
    assert "such as study.seeds=auto:20" in capsys.readouterr().err


def test_the_first_round_and_the_limit_are_told_beforehand(
    etude: Etude, workplace: Path, capsys: Output
):
    assert etude("--dry-run", *study(workplace, "auto:20")) == 0
    text = capsys.readouterr().out
    assert "3 arms × 3 seeds = 9 runs of 3 epochs; done: 0" in text
    assert "up to 20 seeds for arms that are undecided, in 4 rounds of 3, 6, 12, 20" in text
