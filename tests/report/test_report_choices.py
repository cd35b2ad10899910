"""What a report may say, and what it must refuse to: small test sets, choices, other data."""

import json
from pathlib import Path

import pytest
from fake_runs import Make, maker

from etude.base.errors import UserError
from etude.report.answer import answer
from etude.report.arms import group
from etude.report.read import read
from etude.report.results import Results, compare
from etude.report.verdicts import verdict
from etude.report.write import make as make_report


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def results(tmp_path: Path, metric: str = "final.test_accuracy") -> Results:
    return compare(group(read([tmp_path])), metric=metric)


def scored(validation: float, test: float) -> dict[str, object]:
    result = {"epoch": 2, "test_accuracy": test, "validation_accuracy": validation}
    return {"final": result, "best": result}


def test_one_run_on_few_images_is_not_said_to_have_learnt_nothing(make: Make, tmp_path: Path):
    folder = make("0.1", 0, 0.644, data={"test": 59})
    content = {"classes": ["a", "b"], "counts": [[20, 10], [11, 18]], "epoch": 1}
    (folder / "confusion.json").write_text(json.dumps(content))
    found = results(tmp_path)
    assert verdict(found.rows[0], found) == "baseline"
    assert "not learn" not in " ".join(sentence.text for sentence in answer(found))


def test_the_best_arm_is_chosen_by_validation(make: Make, tmp_path: Path):
    make("0.1", 0, 0, **scored(0.9, 0.7))
    make("0.2", 0, 0, **scored(0.8, 0.75))
    found = results(tmp_path)
    assert found.best is not None
    assert found.best.label == "lr=0.1"
    assert results(tmp_path, "final.validation_accuracy").best is not None
    headline, best, *_ = (sentence.text for sentence in answer(found))
    assert "“lr=0.1” is highest by the validation split, with 70.0 % on the test split" in headline
    assert best.startswith("The best arm by the validation split, here the baseline, “lr=0.1”")


def test_of_arms_that_validate_alike_the_better_one_is_the_best(make: Make, tmp_path: Path):
    make("0.1", 0, 0, **scored(0.9, 0.7))
    make("0.2", 0, 0, **scored(0.9, 0.75))
    best = results(tmp_path).best
    assert best is not None
    assert best.label == "lr=0.2"


def test_no_arm_is_said_to_be_better_than_its_equal(make: Make, tmp_path: Path):
    for seed in range(3):
        make("0.1", seed, 0.9 + seed / 100)
        make("0.2", seed, 0.9 + seed / 100)
    for baseline in ("lr=0.1", "lr=0.2"):
        told = compare(group(read([tmp_path])), metric="final.test_accuracy", baseline=baseline)
        assert "the best arm is" not in " ".join(sentence.text for sentence in answer(told))


def test_without_validation_the_test_split_is_all_there_is(make: Make, tmp_path: Path):
    make("0.1", 0, 0.7)
    make("0.2", 0, 0.75)
    best = results(tmp_path).best
    assert best is not None
    assert best.label == "lr=0.2"


@pytest.mark.parametrize("metric", ["validation_accuracy", "test_accuracy", "final.nonsense"])
def test_a_metric_that_no_run_has_is_refused_with_those_that_there_are(
    make: Make, tmp_path: Path, metric: str
):
    make("0.1", 0, 0, **scored(0.9, 0.7))
    with pytest.raises(UserError, match=r"there are .*final\.validation_accuracy"):
        results(tmp_path, metric)


def test_experiments_on_different_data_are_not_put_into_one_table(make: Make, tmp_path: Path):
    for arm, name in (("0.1", "digits"), ("0.2", "flowers")):
        make(arm, 0, 0.9, name=name, data={"test": 360, "digest": name * 2})
    with pytest.raises(UserError, match=r"2 data sets.*digits.*flowers.*the folder of one"):
        make_report([tmp_path])


def test_a_sweep_over_data_sets_is_meant(make: Make, tmp_path: Path):
    for arm, data in (("0.1", "digits"), ("0.2", "flowers")):
        make(arm, 0, 0.9, data={"test": 360, "digest": data})
    assert len(make_report([tmp_path]).results.rows) == 2
