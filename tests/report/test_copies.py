"""A run that lies in several folders counts once."""

import json
import shutil
from pathlib import Path

import pytest
from fake_runs import Make, maker, unfinished

from etude.report.copies import without_copies
from etude.report.read import read
from etude.report.write import make as make_report


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def test_a_copied_folder_is_told_of_and_adds_no_seed(make: Make, tmp_path: Path):
    for seed, accuracy in enumerate((0.97, 0.98, 0.99)):
        make("0.1", seed, accuracy)
    alone = make_report([tmp_path])
    shutil.copytree(tmp_path / "runs", tmp_path / "saved")
    both = make_report([tmp_path])
    (row,), (before,) = both.results.rows, alone.results.rows
    assert list(row.values.values()) == list(before.values.values())
    assert row.result == before.result
    first, *others = (sentence.text for sentence in both.sentences)
    assert first.startswith("3 folders of runs that are here twice: left out of all (")
    assert "saved" in first
    assert others == [sentence.text for sentence in alone.sentences]


def test_the_copy_with_a_result_counts(make: Make, tmp_path: Path):
    make("0.1", 0, 0.98)
    (tmp_path / "runs").rename(tmp_path / "saved")
    make("0.1", 0, None, **unfinished("preempted"))
    kept, left_out = without_copies(read([tmp_path]))
    assert [run.folder.parent.name for run in kept] == ["saved"]
    assert [run.folder.parent.name for run in left_out] == ["runs"]


def test_runs_that_differ_in_seed_or_settings_or_have_not_begun_all_count(
    make: Make, tmp_path: Path
):
    make("0.1", 0, 0.98)
    make("0.1", 1, 0.98)
    make("0.2", 0, 0.98)
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "summary.json").write_text(json.dumps({"state": "running"}))
    assert len(without_copies(read([tmp_path]))[0]) == 5
