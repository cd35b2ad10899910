"""Finished runs in a team's tracker: what is sent, once, and what the tracker's package reads."""

import json
import os
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fake_runs import Make, maker, unfinished
from PIL import Image

from etude.cli.export import main
from etude.report.read import read
from etude.report.trackers.sent import to_send
from etude.runs.study import write_plan

Output = pytest.CaptureFixture[str]
READERS = Path(__file__).with_name("tracker_readers.py")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make runs that each have a fingerprint of their own, and a picture."""
    monkeypatch.chdir(tmp_path)
    made = maker(tmp_path)

    def folder(arm: str, seed: int, accuracy: float | None = 0.9, **others: Any) -> Path:
        fingerprint = f"{round(1000 * float(arm)):04x}{seed:04x}"
        path = made(arm, seed, accuracy, **{"fingerprint": fingerprint, **others})
        Image.new("RGB", (4, 4)).save(path / "curves.png")
        return path

    return folder


# What a tracker's own package reads.

HALVES = {
    "mlflow": "UPDATE runs SET status = 'RUNNING' WHERE name LIKE '%seed=1'",
    "trackio": "DELETE FROM metrics WHERE run_name LIKE '%seed=1' AND step = 2",
}


def leave_half_of_one(tracker: str) -> int:
    """Take away the end of a run, as if its sending had been killed; 0 where there is no half."""
    for path in Path("store").glob("*.db"):
        with sqlite3.connect(path) as store:
            assert store.execute(HALVES[tracker]).rowcount == 1
        store.close()
    return int(tracker in HALVES)


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["mlflow", "trackio", "wandb"])
def test_the_package_reads_what_was_sent_once(make: Make, tmp_path: Path, tracker: str):
    if find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    make("0.1", 0)
    make("0.1", 1, 0.7)
    # An address in the environment is not the user's word.
    elsewhere = "http://127.0.0.1:9"
    names = ("MLFLOW_TRACKING_URI", "TRACKIO_SERVER_URL", "WANDB_BASE_URL")
    environment = {**os.environ, **dict.fromkeys(names, elsewhere), "WANDB_MODE": "online"}

    def python(*words: str) -> Any:
        command = [sys.executable, *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    send = ("-m", "etude.cli.export", "--to", tracker, "--store", "store", "--json", "runs")
    assert [run["name"] for run in python(*send)["sent"]] == ["rate=0.1 seed=0", "rate=0.1 seed=1"]
    make("0.01", 0, 0.5)
    half = leave_half_of_one(tracker)
    told = python(*send)
    assert len(told["sent"]) == 1 + half
    assert len(told["there"]) == 2 - half

    found = {run["name"]: run for run in python(str(READERS), tracker, "store")}
    assert sorted(found) == ["rate=0.01 seed=0", "rate=0.1 seed=0", "rate=0.1 seed=1"]
    assert {name: run["group"] for name, run in found.items()} == {
        "rate=0.01 seed=0": "rate=0.01",
        "rate=0.1 seed=0": "rate=0.1",
        "rate=0.1 seed=1": "rate=0.1",
    }
    run = found["rate=0.1 seed=1"]
    assert run["fingerprint"] == "00640001"
    assert run["lr"] == 0.1
    assert run["accuracy"] == [[1, 0.5], [2, pytest.approx(2 / 3)]]
    assert run["final"] == 0.7
    assert run["pictures"] == ["pictures/curves.png"]
    assert run.get("seconds", 11) == pytest.approx(11)


# What is sent, and what is refused, whichever the tracker.


class Wandb(ModuleType):
    """A package that writes what the real one does, in words that this test reads."""

    Error = type("Error", (Exception,), {})
    Settings = staticmethod(lambda **given: given)
    Image = staticmethod(str)

    def __init__(self) -> None:
        super().__init__("wandb")
        self.fails = False

    def init(self, *, id: str, dir: str, mode: str, **said: Any) -> Any:  # noqa: A002
        assert mode == "offline"
        assert os.environ["WANDB_ERROR_REPORTING"] == "false"
        folder = Path(dir, "wandb", f"offline-run-20260101_000000-{id}")
        folder.mkdir(parents=True)
        rows: list[Any] = []
        summary: dict[str, float] = {}

        def finish() -> None:
            if self.fails:
                raise self.Error("no space left\nand a page of other words")
            del said["settings"]
            text = json.dumps({**said, "rows": rows, "summary": summary})
            (folder / "said.json").write_text(text)

        def log(values: Any, step: int) -> None:
            rows.append([step, values])

        return SimpleNamespace(log=log, summary=summary, finish=finish)


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    package = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "")
    return package


def kept(store: str = "outputs/wandb") -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in Path(store).glob("*/said.json")]
    return {run["name"]: run for run in found}


@pytest.mark.usefixtures("wandb")
def test_runs_are_sent_with_settings_epochs_pictures_and_results(make: Make, capsys: Output):
    path = make("0.1", 3, 0.7)
    assert main(["runs", "--to", "wandb"]) == 0
    run = kept()["rate=0.1 seed=3"]
    assert (run["project"], run["group"]) == ("runs", "rate=0.1")
    assert run["config"]["optimizer.lr"] == 0.1
    assert run["config"]["fingerprint"] == "00640003"
    assert [step for step, _ in run["rows"]] == [1, 2]
    assert run["rows"][0][1] == pytest.approx(
        {"loss/train": 1, "accuracy/train": 0.5, "loss/validation": 1, "accuracy/validation": 0.5}
    )
    assert run["rows"][1][1]["pictures/curves"] == str(Path("runs", path.name, "curves.png"))
    assert run["summary"]["final/test_accuracy"] == 0.7
    told = capsys.readouterr().out
    assert "sent      1 run to outputs/wandb" in told
    assert "wandb sync outputs/wandb/offline-run-*-runs-*" in told


@pytest.mark.usefixtures("wandb")
def test_a_run_is_sent_once_and_only_when_it_is_finished(make: Make, capsys: Output):
    make("0.1", 0)
    make("0.1", 1, None, **unfinished("preempted"))
    assert main(["runs", "--to", "wandb"]) == 0
    assert "left out  1 preempted" in capsys.readouterr().out
    assert main(["runs", "--to", "wandb"]) == 0
    assert len(kept()) == 1
    told = capsys.readouterr().out
    assert "sent      0 runs" in told
    assert "there     1 run already" in told


def test_a_sending_that_is_cut_off_leaves_no_half_of_a_run(
    make: Make, wandb: Wandb, capsys: Output
):
    make("0.1", 0)
    wandb.fails = True
    assert main(["runs", "--to", "wandb", "--store", "here"]) == 1
    assert "here: no space left; --store names" in capsys.readouterr().err
    assert list(Path("here").iterdir()) == []
    wandb.fails = False
    assert main(["runs", "--to", "wandb", "--store", "here"]) == 0
    assert list(kept("here")) == ["rate=0.1 seed=0"]


def test_a_run_that_the_tracker_did_not_keep_is_told(
    make: Make, wandb: Wandb, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    make("0.1", 0)
    made = wandb.init

    def init(**said: Any) -> Any:
        return made(**{**said, "dir": "elsewhere"})

    monkeypatch.setattr(wandb, "init", init)
    assert main(["runs", "--to", "wandb"]) == 1
    captured = capsys.readouterr()
    assert "sent      0 runs" in captured.out
    assert "wandb has not kept 1 run; give the command again" in captured.err


def test_an_arm_keeps_its_name_whatever_is_sent_beside_it(make: Make, tmp_path: Path):
    make("0.1", 0)
    alone = [run.name for run in to_send(read([tmp_path]))]
    make("0.01", 0)
    assert alone == ["rate=0.1 seed=0"]
    assert alone[0] in [run.name for run in to_send(read([tmp_path]))]


def test_arms_that_their_folders_call_alike_are_told_apart(make: Make, tmp_path: Path):
    make("0.1", 0)
    other = make("0.01", 0)
    other.rename(other.with_name("rate=0.1_seed=0-ffffffff"))
    groups = [run.group for run in to_send(read([tmp_path]))]
    assert groups == ["lr=0.01", "lr=0.1"]


def test_a_studys_arms_are_called_as_in_the_study(make: Make, tmp_path: Path):
    path = make("0.1", 0)
    write_plan(path.parent, {
        "study": "rates", "question": "", "claim": "", "source": "", "baseline": "fast",
        "metric": "test_accuracy", "margin": None, "axes": ["rate"], "arms": {"fast": ["0.1"]},
        "command": [], "runs": {path.name: {"arm": "fast", "seed": 0}}, "reach": None,
        "claims": [], "tuned": {},
    })  # fmt: skip
    (run,) = to_send(read([tmp_path]))
    assert (run.project, run.group, run.name) == ("rates", "fast", "fast seed=0")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "mlflow"], "--to mlflow needs its package"),
        (["--to", "mlflow"], "pip install 'etude[mlflow]' brings it"),
        (["--to", "wandb", "--store", "https://somewhere"], "wandb sync sends runs from there"),
        (["--to", "wandb", "--format", "onnx"], "--format is for a network's file"),
        (["--store", "here"], "--store is for a tracker; add --to"),
        (["runs"], "2 runs make no one file; give one, or --to a tracker"),
    ],
)
@pytest.mark.usefixtures("wandb")
def test_what_cannot_be_is_refused_in_one_line(
    make: Make, capsys: Output, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    make("0.1", 0)
    assert main(["runs", *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("wandb")
def test_a_run_with_another_runs_epochs_is_left_out_and_told(make: Make, capsys: Output):
    make("0.1", 0, epochs=3, final={"test_accuracy": 0.9, "train_loss": 1 / 3})
    path = make("0.1", 1)
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps({**summary, "epochs": 3}))
    assert main(["runs", "--to", "wandb"]) == 0
    assert list(kept()) == ["rate=0.1 seed=0"]
    told = capsys.readouterr().out
    assert (
        "left out  1 damaged (metrics.jsonl or summary.json lacks something, or is another run's"
        in told
    )


@pytest.mark.usefixtures("wandb")
def test_a_finished_run_without_a_fingerprint_is_told_as_damaged(make: Make, capsys: Output):
    path = make("0.1", 0)
    summary = json.loads((path / "summary.json").read_text())
    del summary["fingerprint"]
    (path / "summary.json").write_text(json.dumps(summary))
    assert main(["runs", "--to", "wandb"]) == 2
    assert "only finished runs are sent" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["opened", "asked"])
def test_whatever_a_package_raises_is_told_in_one_line(
    make: Make, capsys: Output, monkeypatch: pytest.MonkeyPatch, when: str
):
    """SQLAlchemy's errors, for one, which MLflow lets through for a file that is no database."""

    def fails(**_: str) -> Any:
        raise RuntimeError("file is not a database\nand a page of other words")

    client = SimpleNamespace(get_experiment_by_name=lambda _: fails())
    package = ModuleType("mlflow")
    package.MlflowClient = fails if when == "opened" else lambda **_: client  # type: ignore[attr-defined]
    package.exceptions = SimpleNamespace(MlflowException=ArithmeticError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", package)
    make("0.1", 0)
    assert main(["runs", "--to", "mlflow", "--store", "here"]) == 1
    told = capsys.readouterr().err
    assert "file is not a database; --store names what can be written to" in told
    assert told.count("\n") == 1


def test_without_a_finished_run_nothing_is_sent(make: Make, capsys: Output):
    make("0.1", 0, None, **unfinished("failed"))
    assert main(["runs", "--to", "wandb"]) == 2
    assert "1 failed: only finished runs are sent" in capsys.readouterr().err
    assert not Path("outputs").exists()
