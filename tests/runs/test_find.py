from pathlib import Path

from run_folders import make

from etude.runs.find import find_runs
from etude.runs.records import write_json


def test_runs_are_found_below_a_folder_in_order(tmp_path: Path):
    made = [make(tmp_path / name, "finished") for name in ("a/y", "b", "a/x")]
    make(tmp_path / "a" / "x.replaced-20260101T000000Z", "finished")
    assert list(find_runs(tmp_path)) == sorted(made)
    assert list(find_runs(tmp_path / "b")) == [tmp_path / "b"]
    assert list(find_runs(tmp_path / "nowhere")) == []


def test_a_planned_run_that_has_not_begun_is_found_once_it_has_a_folder(tmp_path: Path):
    begun = make(tmp_path / "begun", "running")
    (tmp_path / "made").mkdir()
    runs = {name: {"arm": "a", "seed": 0} for name in ("begun", "made", "missing")}
    write_json(tmp_path / "study.json", {"runs": runs})
    assert sorted(find_runs(tmp_path)) == [begun, tmp_path / "made"]
