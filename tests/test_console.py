"""What a narrow terminal shows."""

import re
from pathlib import Path

import pytest

from etude.cli.study import Study, StudyArm
from etude.cli.terminal import show_arms, show_summary

NAMES = ("relu", "kaiming_normal_fan_out batch_norm=true")
STUDY = Study(
    name="rates", question="Which?", claim="None.", source="here", experiment="x", baseline="relu",
    seeds=(0, 1), arms=tuple(StudyArm(name, ()) for name in NAMES), words=(),
    metric="test_accuracy", reach=0.95,
)  # fmt: skip


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_of_a_studys_table_nothing_is_cut(capsys: pytest.CaptureFixture[str]):
    results = {which: {"test_accuracy": 0.9} for which in ("final", "best")}
    finished = {"state": "finished", **results}
    rows = [{"epoch": 12, "test_accuracy": 0.96}]
    runs = [(name, finished, rows) for name in NAMES for _ in STUDY.seeds]
    show_arms(STUDY, [*runs, ("relu", {"state": "failed"}, [])])
    title, *lines = capsys.readouterr().out.splitlines()
    top, header, rule, base, below, other, *more = lines
    assert "mean ± standard deviation" in title
    assert top.split() == ["−", "epochs"]
    assert header.split() == ["arm", "runs", "final", "baseline", "best", "to", "0.95"]
    assert len(rule) <= 80
    spread = ["0.9000", "±", "0.0000"]
    assert base.split() == ["relu", "2", *spread, *spread, "12.0"]
    assert below.split() == ["(2", "of", "3)"]
    name, *cells = other.split()
    assert name + "".join(line.strip() for line in more[:2]) == NAMES[1].replace(" ", "")
    assert cells == ["2", *spread, "+0.0000", *spread, "12.0"]
    assert any(re.fullmatch(r" relu +1 failed *", line) for line in more)


def test_beside_a_document_only_the_source_is_wrapped(capsys: pytest.CaptureFixture[str]):
    result = {"epoch": 1, "test_accuracy": 0.9}
    figure = {
        "metric": "best.validation_accuracy", "value": 0.9395, "rule": "± 0.01", "ours": 0.9,
        "agrees": False, "source": "document 004 [4], its peak; published results of 0.9395",
    }  # fmt: skip
    show_summary(
        {"name": "x", "final": result, "best": result, "reference": [figure], "scale": 1,
         "parameters": {"trainable": 1}, "seconds": 1.0, "images_per_second": 1.0,
         "precision": "float32", "device": "cpu", "selection": "validation"}, Path("runs/x")
    )  # fmt: skip
    text = capsys.readouterr().out.partition("beside the document\n")[2]
    asked, header, _, first, *more = text.partition("1 parameter")[0].splitlines()
    assert asked.split() == ["asked"]
    assert header.split() == ["figure", "document", "for", "here", "agrees", "source"]
    cells = ["best.validation_accuracy", "0.9395", "±", "0.01", "0.9000", "NO"]
    assert first.split()[:6] == cells
    source = [*first.split()[6:], *(word for line in more for word in line.split())]
    assert " ".join(source) == figure["source"]
