import json
import math
from pathlib import Path

import pytest

from etude.base.identity import mark_of
from etude.runs.records import append_line, keep_rows, read_rows, read_summary, write_json
from etude.runs.study import StudyPlan, read_plan, write_plan

Log = pytest.LogCaptureFixture


def test_a_row_is_read_as_it_was_written_and_what_is_not_finite_is_null(tmp_path: Path):
    append_line(tmp_path / "metrics.jsonl", {"epoch": 1, "train_loss": math.nan, "later": "ä"})
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"epoch": 1, "train_loss": null, "later": "ä"}\n'
    )
    assert read_rows(tmp_path) == [{"epoch": 1, "train_loss": None, "later": "ä"}]


def test_a_last_line_that_is_half_written_is_no_news(tmp_path: Path, caplog: Log):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert [row["epoch"] for row in read_rows(tmp_path)] == [1, 2]
    assert caplog.text == ""


def test_a_damaged_epoch_is_left_out_and_told_with_file_and_line(tmp_path: Path, caplog: Log):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    for _ in range(2):  # told once
        assert [row["epoch"] for row in read_rows(tmp_path)] == [1, 3]
    path = tmp_path / "metrics.jsonl"
    assert caplog.messages == [f"{path}, line 2, is damaged: the epoch is left out"]


@pytest.mark.parametrize("content", ["5\n", "{}\n", '{"epoch": 1}\n[]\n'])
def test_what_is_no_row_is_left_out(tmp_path: Path, content: str):
    (tmp_path / "metrics.jsonl").write_text(content)
    assert len(read_rows(tmp_path)) == content.count("epoch")


def test_rows_are_cut_back_to_a_checkpoint(tmp_path: Path):
    for epoch in (1, 2, 3):
        append_line(tmp_path / "metrics.jsonl", {"epoch": epoch, "lr": 0.1})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert [row["epoch"] for row in keep_rows(tmp_path, 2)] == [1, 2]
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(lines[:2])


@pytest.mark.parametrize(
    ("content", "line"), [('{\n "state": "fin\n', 2), ("", 1), ("[]", 1), ('{"name": "a"}', 1)]
)
def test_a_damaged_summary_is_told_with_file_and_line(
    tmp_path: Path, caplog: Log, content: str, line: int
):
    path = tmp_path / "summary.json"
    path.write_text(content)
    assert read_summary(tmp_path) is None
    assert f"{path}, line {line}, is damaged" in caplog.text


def test_without_a_folder_there_is_nothing(tmp_path: Path, caplog: Log):
    assert read_summary(tmp_path / "none") is None
    assert read_rows(tmp_path / "none") == []
    assert caplog.text == ""


def test_a_later_versions_keys_are_kept(tmp_path: Path):
    summary = {"state": "running", "later": 1}
    write_json(tmp_path / "summary.json", summary)
    assert read_summary(tmp_path) == summary


@pytest.mark.parametrize("lost", ["name", "final", "best", "test_accuracy"])
def test_a_finished_run_without_its_results_is_damaged(
    tmp_path: Path, lost: str, caplog: pytest.LogCaptureFixture
):
    score = {} if lost == "test_accuracy" else {"test_accuracy": 0.5}
    summary = {"state": "finished", "name": "a", "final": score, "best": score}
    summary.pop(lost, None)
    write_json(tmp_path / "summary.json", summary)
    assert read_summary(tmp_path) is None
    assert "is damaged: a finished run lacks its results" in caplog.text


def test_a_summary_whose_settings_are_not_its_fingerprints_is_told_of_once(
    tmp_path: Path, caplog: Log
):
    settings = {"optimizer.lr": 0.1, "seed": 0}
    summary = {"state": "running", "contents": {}, "hyperparameters": settings,
               "fingerprint": mark_of(settings)}  # fmt: skip
    write_json(tmp_path / "summary.json", summary)
    assert read_summary(tmp_path) is not None
    assert not caplog.messages
    write_json(
        tmp_path / "summary.json", {**summary, "hyperparameters": {**settings, "optimizer.lr": 0.2}}
    )
    assert read_summary(tmp_path) is not None
    assert read_summary(tmp_path) is not None
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path / 'summary.json'} is damaged or was edited: ")
    assert "\n" not in line


def test_a_study_keeps_the_runs_that_it_planned_before(tmp_path: Path):
    plan: StudyPlan = {
        "study": "depth", "question": "?", "claim": "!", "source": "004", "baseline": "a",
        "metric": "test_accuracy", "axes": ["depth"], "arms": {"a": ["a"]},
        "command": ["etude", "study=depth"], "runs": {"one": {"arm": "a", "seed": 0}},
    }  # fmt: skip
    write_plan(tmp_path / "depth", plan)
    write_plan(tmp_path / "depth", {**plan, "runs": {"two": {"arm": "a", "seed": 1}}})
    found = read_plan(tmp_path / "depth")
    assert found is not None
    assert list(found["runs"]) == ["one", "two"]
    assert list(json.loads((tmp_path / "depth" / "study.json").read_text())) == list(plan)
    assert read_plan(tmp_path) is None
