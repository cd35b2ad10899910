import json
import multiprocessing
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL, only_run, summary_of
from safetensors.torch import load_file

from etude.runs.claim import claimed
from etude.runs.records import read_rows

Etude = Callable[..., int]


def test_a_run_leaves_the_folder_that_the_design_describes(etude: Etude, workplace: Path):
    assert etude(*SMALL, "record.curves=true") == 0
    folder = only_run(workplace)
    names = {path.name for path in folder.iterdir()}
    assert {
        "config.yaml", ".hydra", "metrics.jsonl", "summary.json", "environment.json", "run.log",
        "last.ckpt", "best.safetensors", "curves.png",
    } <= names  # fmt: skip
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert {path.name for path in (folder / ".hydra").iterdir()} == {
        "config.yaml", "hydra.yaml", "overrides.yaml",
    }  # fmt: skip
    assert not [name for name in names if name.endswith((".tmp", ".lock"))]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_has_every_key_that_reports_read(etude: Etude, workplace: Path):
    assert etude(*SMALL) == 0
    folder = only_run(workplace)
    summary = summary_of(folder)
    assert summary["state"] == "finished"
    assert summary["parameters"] == {"trainable": 44_426, "total": 44_426}
    for which in ("final", "best"):
        assert {
            "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
            "test_loss", "test_accuracy",
        } <= set(summary[which])  # fmt: skip
    for key in (
        "name", "fingerprint", "seed", "seconds", "images_per_second", "peak_memory_bytes",
        "device", "precision", "scale", "reference",
    ):  # fmt: skip
        assert key in summary
    assert folder.name.endswith(f"seed=0-{summary['fingerprint']}")
    rows = read_rows(folder)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert {"train_loss", "validation_loss", "penalty", "lr", "images_per_second", "seconds",
            "memory_bytes"} <= set(rows[0])  # fmt: skip


def test_the_test_split_is_used_once_unless_the_protocol_says_otherwise(
    etude: Etude, workplace: Path
):
    assert etude(*SMALL, "name=once") == 0
    assert etude(*SMALL, "name=each", "train.test_every_epoch=true") == 0
    once, each = (read_rows(next(workplace.glob(f"outputs/{n}/*"))) for n in ("once", "each"))
    assert not any("test_loss" in row for row in once)
    assert all("test_loss" in row for row in each)


def test_without_a_validation_split_the_test_split_selects_and_the_summary_says_so(
    etude: Etude, workplace: Path
):
    words = ["dataset.validation_split=none", "train.test_every_epoch=true"]
    assert etude(*SMALL, *words) == 0
    assert summary_of(only_run(workplace))["selection"] == "test"


def test_without_anything_to_select_by_the_final_epoch_is_the_best(etude: Etude, workplace: Path):
    assert etude(*SMALL, "dataset.validation_split=none") == 0
    summary = summary_of(only_run(workplace))
    assert summary["best"] == summary["final"]


def test_the_best_weights_are_those_of_the_best_epoch(etude: Etude, workplace: Path):
    """Learning rate 1 ruins the network, so that the last epoch is not the best."""
    words = ["optimizer.lr=0.005", "train.epochs=3", "scheduler=steps", "+n=1"][:-1]
    steps = ["scheduler.milestones_epochs=[2]", "scheduler.factor=1000"]
    assert etude(*SMALL, *words, *steps) == 0
    folder = only_run(workplace)
    summary = summary_of(folder)
    assert summary["best"]["epoch"] < 3
    assert summary["best"]["test_accuracy"] > summary["final"]["test_accuracy"]
    assert sum(t.numel() for t in load_file(folder / "best.safetensors").values()) == 44_426
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes["best.safetensors"] == modes["metrics.jsonl"]  # as the umask says


def test_the_same_command_trains_nothing_again(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude(*SMALL) == 0
    folder = only_run(workplace)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert etude(*reversed(SMALL)) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert "finished before" in capsys.readouterr().out


def test_fresh_moves_the_old_run_aside_and_trains_again(etude: Etude, workplace: Path):
    assert etude(*SMALL) == 0
    first = only_run(workplace)
    old = (first / "metrics.jsonl").read_text()
    assert etude(*SMALL, "fresh=true") == 0
    (aside,) = first.parent.glob("*.replaced-*")
    assert (aside / "metrics.jsonl").read_text() == old
    assert summary_of(first)["final"] == summary_of(aside)["final"]


def test_a_changed_library_is_told_when_a_finished_run_is_shown(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude(*SMALL) == 0
    path = only_run(workplace) / "environment.json"
    environment = json.loads(path.read_text())
    environment["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(environment))
    capsys.readouterr()
    assert etude(*SMALL) == 0
    assert "torch 1.0 →" in capsys.readouterr().out


def hold(folder: str, ready: "multiprocessing.synchronize.Event") -> None:
    with claimed(Path(folder)):
        ready.set()
        multiprocessing.Event().wait(60)


def test_two_processes_never_work_in_one_folder(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude(*SMALL) == 0
    folder = only_run(workplace)
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    holder = spawn.Process(target=hold, args=(str(folder), ready), daemon=True)
    holder.start()
    assert ready.wait(60)
    try:
        assert etude(*SMALL, "fresh=true") == 1
        assert "another process is at work" in capsys.readouterr().err
        assert summary_of(folder)["state"] == "finished"
    finally:
        holder.kill()
        holder.join()
    assert etude(*SMALL, "fresh=true") == 0  # what a killed process held is free


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["optimizer=sgd", "optimizer.lr=1e30", "train.checkpoint_steps=1"]
    assert etude(*SMALL, *words) == 1
    errors = capsys.readouterr().err
    assert "nan in epoch 1, step 2" in errors
    assert "there is no checkpoint yet" in errors
    folder = only_run(workplace)
    assert summary_of(folder)["state"] == "failed"
    assert "nan in epoch 1, step 2" in (folder / "run.log").read_text()


def test_a_sweep_makes_one_folder_a_job_and_given_again_trains_nothing(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["-m", "optimizer=adam,sgd", "seed=0,1", *SMALL]
    assert etude(*words) == 0
    names = sorted(p.parent.name for p in workplace.glob("outputs/lenet5_digits/*/summary.json"))
    assert len(names) == 4
    assert [name.partition("_")[0] for name in names] == ["optimizer=adam"] * 2 + [
        "optimizer=sgd"
    ] * 2
    capsys.readouterr()
    assert etude(*words) == 0
    assert "4 jobs: 4 finished before\n" in capsys.readouterr().out


def test_one_failed_job_of_a_sweep_leaves_the_others_alone(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["-m", "optimizer=sgd", "optimizer.lr=1e30,0.01", *SMALL]
    assert etude(*words) == 1
    states = {summary_of(p.parent)["state"] for p in workplace.glob("outputs/*/*/summary.json")}
    assert states == {"failed", "finished"}
    assert "1 of 2 runs diverged" in capsys.readouterr().err


def test_a_documents_figures_are_judged_only_for_the_documented_run(etude: Etude, workplace: Path):
    conf = workplace / "conf" / "experiment"
    conf.mkdir(parents=True)
    (conf / "easy.yaml").write_text(
        "# @package _global_\nname: easy\n"
        "dataset: {limit_train: 200, limit_test: 50}\ntrain: {epochs: 2}\n"
        "reference:\n"
        "- {metric: final.test_accuracy, value: 0.9, tolerance: 1, at_least: null, source: here}\n"
        "- {metric: epoch_1.train_loss, value: 0, tolerance: null, at_least: 99, source: here}\n"
        "- {metric: best.test_loss, value: 0.1, tolerance: null, at_least: null, source: here}\n"
    )
    for words in ([], ["seed=1"], ["optimizer.lr=0.002"], ["scale=0.5"]):
        assert etude("--config-dir=conf", "experiment=easy", *words) == 0
    found = {
        folder.name.rpartition("-")[0]: [row["agrees"] for row in summary_of(folder)["reference"]]
        for folder in workplace.glob("outputs/easy/*")
    }
    assert found == {
        "seed=0": [True, False, None],
        "seed=1": [True, False, None],
        "lr=0.002_seed=0": [None, None, None],
        "scale=0.5_seed=0": [None, None, None],
    }


def test_scale_shortens_a_run(etude: Etude, workplace: Path):
    assert etude(*SMALL, "train.epochs=6", "scale=0.5") == 0
    assert summary_of(only_run(workplace))["epochs"] == 3


def test_results_that_cannot_be_written_are_one_line(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    (workplace / "outputs").write_text("a file where the folder should be")
    assert etude(*SMALL) == 1
    assert "ETUDE_OUTPUTS" in capsys.readouterr().err
