"""What stood in several places, differently, stands in one: each such defect and its test.

a killed run is `cut off` here and `interrupted` there   test_a_killed_run_is_cut_off_for_…
the report takes a shared lock                           test_a_report_takes_no_lock
`pruned` is time left, and "no result yet"               test_a_run_that_was_given_up_is_not_…
`etude-status --watch` never ends                        test_status.py: test_watching_ends_when_…
the range of `shift_fraction` stands three times         test_the_range_of_a_shift_stands_in_…
`train.epochs × scale` stands three times                test_epochs_are_scaled_in_one_place
four loops evaluate a split                              test_a_split_is_gone_through_in_one_…
`record.norms` logs the gradient of another loss         test_gradients.py: all of it
the atomic replace is written six times                  test_a_file_is_replaced_in_one_place
"""

import json
import re
from pathlib import Path

import pytest
from run_folders import make

from etude.base import locks
from etude.cli.report import main as report
from etude.cli.status import main as status
from etude.report.answer import answer
from etude.report.arms import group
from etude.report.read import read
from etude.report.results import compare
from etude.runs import claim
from etude.runs.frame import frame
from etude.runs.records import read_summary, write_json
from etude.runs.status import seconds_left
from etude.runs.status import status as status_of

SOURCE = Path(__file__).parents[2] / "src" / "etude"
Output = pytest.CaptureFixture[str]


def users(pattern: str) -> list[str]:
    """Name the files of src/etude that have a pattern."""
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    found = (path for path, text in texts.items() if re.search(pattern, text))
    return sorted(path.relative_to(SOURCE).as_posix() for path in found)


def test_a_killed_run_is_cut_off_for_everybody(workplace: Path, capsys: Output):
    run = make(workplace / "outputs" / "depth" / "a", "running", epochs=2)
    assert status([str(run), "--json"]) == 0
    assert [found["state"] for found in json.loads(capsys.readouterr().out)] == ["cut off"]
    assert [found.state for found in read([run])] == ["cut off"]
    assert frame(run.parent)["state"].tolist() == ["cut off"]
    assert users(r"[\"']interrupted[\"']") == []
    assert users(r"[\"']cut off[\"']") == ["runs/state.py"]  # the one list of states


def test_a_report_takes_no_lock(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    run = make(workplace / "outputs" / "depth" / "a", "running", epochs=2)
    with claim.claimed(run):
        monkeypatch.setattr(locks, "_lock", lambda path: pytest.fail(f"{path} is taken"))
        assert report([str(run.parent), "--format", "md"]) == 0
    assert users(r"\bfcntl\b") == ["base/locks.py", "search/storage.py"]


def test_a_run_that_was_given_up_is_not_awaited(workplace: Path):
    run = make(workplace / "outputs" / "depth" / "a", "pruned", epochs=3)
    assert seconds_left([status_of(run)]) == 0
    said = " ".join(sentence.text for sentence in answer(compare(group(read([run])))))
    assert "yet" not in said
    assert "1 run is given up by the search" in said


def test_the_range_of_a_shift_stands_in_the_schema_alone():
    assert users(r"shift_fraction: Fraction") == ["config/schema/data.py"]
    assert users(r"shift\w*\s*(?:[<>]=?|not in)|[<>]=?\s*(?:self\.)?shift") == []


def test_epochs_are_scaled_in_one_place(workplace: Path):
    run = make(workplace / "a", "running", epochs=1)
    summary = read_summary(run)
    assert summary is not None
    write_json(run / "summary.json", {**summary, "scale": 0.25})
    assert status_of(run).epochs == 2  # of ten: a half goes to the even number
    assert users(r"epochs\w*\)? \* (?:\w+\.)*scale\b") == [
        "base/duration.py",
        "train/schedule/base.py",  # in steps
        "train/schedule/following.py",  # of a patience
    ]


def test_a_split_is_gone_through_in_one_place():
    made = ["data/batch.py", "data/resident.py", "data/stream.py"]  # where a split is defined
    made.append("train/features.py")  # and where its images give way to what frozen layers make
    assert users(r"\.in_order\(") == [
        "preflight/rehearsal.py",  # one batch
        "train/evaluate.py",
        "train/features.py",
    ]
    assert users(r"def in_order\(") == made


def test_a_file_is_replaced_in_one_place():
    assert users(r"os\.replace\(|\.replace\(path\)|os\.fsync|mkstemp|NamedTemporaryFile") == [
        "base/atomic.py"
    ]
