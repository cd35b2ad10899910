"""Records of what was measured, and runs held against them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fake_runs import Make, maker, unfinished

from etude.base.errors import UserError
from etude.cli.check import main
from etude.report import ledger
from etude.report.held import hold
from etude.report.ledger import find_record
from etude.report.write import make as make_report

VALUES = (0.98, 0.982, 0.979, 0.981, 0.98)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


@pytest.fixture
def recorded(make: Make, tmp_path: Path) -> Path:
    """A ledger with one record, of five seeds, whose runs are gone."""
    fill(make, VALUES)
    assert main(["--record", str(tmp_path / "ledger"), str(tmp_path / "runs")]) == 0
    (tmp_path / "runs").rename(tmp_path / "earlier")
    return tmp_path / "ledger"


def fill(make: Make, values: Sequence[float], **more: object) -> None:
    for seed, value in enumerate(values):
        make("0.1", seed, value, **more)


@pytest.fixture
def check(recorded: Path, tmp_path: Path) -> Callable[[], int]:
    return lambda: main(["--ledger", str(recorded), str(tmp_path / "runs")])


def test_a_record_holds_what_there_is_to_compare_with(recorded: Path):
    (made,) = ledger.read_records(recorded).values()
    assert made["name"] == "runs"
    (arm,) = made["arms"].values()
    assert list(arm["values"].values()) == list(VALUES)
    assert arm["mean"] == pytest.approx(0.9804)
    assert arm["fingerprints"]["3"] == "00000003"
    assert made["made_with"]["device"] == "cpu"
    assert made["verdict"] is None


def test_a_record_wants_one_run_for_each_seed(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make("0.1", 0, 0.98)
    folder = make("0.10", 0, 0.97)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | {"fingerprint": "another"}))
    assert main(["--record", str(tmp_path / "ledger"), str(tmp_path / "runs")]) == 2
    assert "a record has one run for each seed, and" in capsys.readouterr().err
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((0.981,), 0),
        ((0.9815, 0.979, 0.98), 0),
        ((0.9,), 1),
        ((0.975, 0.974, 0.976), 1),
    ],
)
def test_runs_agree_if_the_seeds_spread_explains_the_difference(
    make: Make, check: Callable[[], int], values: Sequence[float], code: int
):
    fill(make, values)
    assert check() == code


def test_one_seed_against_one_may_differ_by_what_the_test_split_allows(make: Make, tmp_path: Path):
    fill(make, [0.9])
    report = make_report([tmp_path / "runs"])
    made = ledger.record(report)
    (held,) = hold(report.results, made)
    assert held.allowed == pytest.approx(1.96 * (0.9 * 0.1 / 360 * 2) ** 0.5, rel=1e-3)


def test_a_documents_figure_that_is_missed_differs(make: Make, check: Callable[[], int]):
    figure = {"metric": "final.test_accuracy", "value": 0.99, "rule": "± 0.001", "source": "d",
              "ours": 0.98, "agrees": False}  # fmt: skip
    fill(make, [0.98], reference=[figure])
    assert check() == 1


def test_what_has_no_record_is_refused_with_the_names_that_there_are(
    make: Make, check: Callable[[], int], capsys: pytest.CaptureFixture[str]
):
    fill(make, [0.98], name="run")
    assert check() == 2
    assert "the ledger has no run: there is no such record; did you mean 'runs'?" in (
        capsys.readouterr().err
    )


def test_a_run_with_other_settings_is_not_compared(
    make: Make, check: Callable[[], int], capsys: pytest.CaptureFixture[str]
):
    make("0.2", 0, 0.98)
    assert check() == 2
    assert "nothing here has the settings of runs as it was recorded" in capsys.readouterr().err


def test_runs_at_another_scale_are_not_compared(make: Make, check: Callable[[], int]):
    fill(make, [0.98], scale=0.5)
    assert check() == 2


DIVERGED = unfinished("failed", error="Diverged: the loss is nan")


def test_an_arm_that_diverged_here_or_in_the_ledger_alone_differs(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--ledger", str(tmp_path / "ledger"), str(tmp_path / "runs")]
    fill(make, VALUES)
    make("0.2", 0, None, **DIVERGED)
    assert main(["--record", *words[1:]]) == 0
    assert len(ledger.read_records(tmp_path / "ledger")["runs"]["diverged"]) == 1
    assert main(words) == 0
    shutil.rmtree(tmp_path / "runs")
    fill(make, VALUES)
    make("0.2", 0, 0.7)
    make("0.3", 0, 0.7)
    capsys.readouterr()
    assert main(words) == 1
    told = capsys.readouterr().out
    assert "0.7000 here, diverged in the ledger: NO" in told
    assert "not in the ledger\n" in told
    shutil.rmtree(tmp_path / "runs")
    for seed in range(2):
        make("0.1", seed, None, **DIVERGED)
    assert main([*words, "--json"]) == 1
    (other,) = json.loads(capsys.readouterr().out)["others"]
    assert other["differs"]
    assert other["why"] == "diverged here, 0.9804 in the ledger"


def test_a_recorded_arm_that_is_not_here_is_told(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--ledger", str(tmp_path / "ledger"), str(tmp_path / "runs")]
    fill(make, VALUES)
    make("0.2", 0, 0.9)
    assert main(["--record", *words[1:]]) == 0
    for folder in (tmp_path / "runs").glob("rate=0.2*"):
        shutil.rmtree(folder)
    capsys.readouterr()
    assert main(words) == 0
    assert "recorded, and no run of it has finished here" in capsys.readouterr().out


def test_runs_of_two_experiments_are_not_compared_as_one(
    make: Make, check: Callable[[], int], capsys: pytest.CaptureFixture[str]
):
    fill(make, VALUES)
    make("0.2", 0, 0.9, name="walks")
    assert check() == 2
    assert "has runs of runs, walks; give the folder of one" in capsys.readouterr().err


def test_only_the_record_that_is_asked_for_is_read(
    make: Make, recorded: Path, check: Callable[[], int], capsys: pytest.CaptureFixture[str]
):
    (recorded / "other.json").write_text("no")
    fill(make, VALUES)
    assert check() == 0
    assert main(["--ledger", str(recorded / "nowhere"), str(recorded.parent / "runs")]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{}, {"0": None}, {"0": float("nan")}])
def test_a_record_without_numbers_is_refused(recorded: Path, values: dict[str, float]):
    made = json.loads((recorded / "runs.json").read_text())
    next(iter(made["arms"].values()))["values"] = values
    (recorded / "runs.json").write_text(json.dumps(made))
    with pytest.raises(UserError, match="is no record"):
        find_record(recorded, "runs")


def test_a_record_at_another_scale_does_not_give_way(
    make: Make, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = (recorded / "runs.json").read_bytes()
    fill(make, VALUES, scale=0.5)
    assert main(["--record", str(recorded), str(tmp_path / "runs")]) == 2
    assert "is at scale=1, and these runs are at 0.5; remove it" in capsys.readouterr().err
    assert (recorded / "runs.json").read_bytes() == before


def test_a_ledger_that_cannot_be_written_is_told_in_a_line(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "ledger/runs.json")

    monkeypatch.setattr(ledger, "write_json", refuse)
    fill(make, VALUES)
    assert main(["--record", str(tmp_path / "ledger"), str(tmp_path / "runs")]) == 2
    assert "--record names a folder that can be written to" in capsys.readouterr().err


def test_json_is_for_scripts(make: Make, recorded: Path, tmp_path: Path, capsys):
    fill(make, [0.98])
    capsys.readouterr()
    assert main(["--json", "--ledger", str(recorded), str(tmp_path / "runs")]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"] is True


def test_a_file_that_is_no_record_is_refused(recorded: Path):
    (recorded / "runs.json").write_text('{"name": 3}')
    with pytest.raises(UserError, match="is no record"):
        ledger.read_records(recorded)
