import json
from pathlib import Path

import pytest
from fake_runs import Make, maker, unfinished

from etude.cli.compare import main

Output = pytest.CaptureFixture[str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def test_what_differs_is_shown_side_by_side_and_what_does_not_is_left_out(
    make: Make, capsys: Output
):
    one, other = make("0.1", 0, 0.9), make("0.01", 0, 0.8)
    (one / "environment.json").write_text(json.dumps({"versions": {"torch": "2.15", "numpy": "2"}}))
    (other / "environment.json").write_text(
        json.dumps({"versions": {"torch": "2.16", "numpy": "2"}})
    )
    assert main([str(one), str(other), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == {"optimizer.lr": ["0.1", "0.01"]}
    assert found["environment"] == {"torch": ["2.15", "2.16"]}
    assert found["results"]["final test accuracy"] == ["0.9000", "0.8000"]


def test_all_settings_are_shown_on_request(make: Make, capsys: Output):
    assert main([str(make("0.1", 0, 0.9)), str(make("0.1", 1, 0.9)), "--all"]) == 0
    text = capsys.readouterr().out
    assert "optimizer.lr" in text
    assert "l2" in text


def test_runs_that_did_not_finish_can_be_compared(make: Make, capsys: Output):
    one, other = make("0.1", 0, 0.9), make("0.1", 1, None, **unfinished("failed"))
    assert main([str(one), str(other)]) == 0
    text = capsys.readouterr().out
    assert "environment: no difference" in text
    assert "failed" in text


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_no_run_is_refused(make: Make, tmp_path: Path, capsys: Output, count: int):
    folders = [str(make("0.1", 0, 0.9)), str(tmp_path)][:count]
    assert main(folders) == 2
    said = "give two or more" if count == 1 else "is no run's folder"
    assert said in capsys.readouterr().err
