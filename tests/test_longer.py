"""More epochs go on from a finished run, and come to the bits of one that was trained at once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import summary_of
from test_resume import assert_same_run, results_of

Etude = Callable[..., int]
MORE = [
    "dataset.limit_train=100", "dataset.limit_test=30", "record.curves=false",
    "record.tensorboard=false", "record.confusion=false",
]  # fmt: skip
STEPS = ["scheduler=steps", "scheduler.milestones_epochs=[1,3]", "optimizer=sgd_keras"]
DROPOUT = ["model=alexnet_mnist", "augment=crop_flip_erase"]


def run_of(epochs: int) -> Path:
    folders = (path.parent for path in Path("outputs").glob("*/*/summary.json"))
    (found,) = (f for f in folders if summary_of(f)["hyperparameters"]["train.epochs"] == epochs)
    return found


@pytest.mark.parametrize(
    "words",
    [pytest.param([*STEPS, *DROPOUT], marks=pytest.mark.slow),
     pytest.param(["scheduler=constant", "train.average_decay=0.9"], marks=pytest.mark.slow),
     ["scheduler=plateau", "scheduler.patience_epochs=1"]],
    ids=["steps", "constant", "plateau"],
)  # fmt: skip
def test_more_epochs_go_on_from_the_finished_run(
    etude: Etude, workplace: Path, words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert etude(*MORE, *words, "train.epochs=4") == 0
    shutil.move(run_of(4), "at_once")
    assert etude(*MORE, *words, "train.epochs=2") == 0
    kept = results_of(run_of(2))
    capsys.readouterr()
    assert etude(*MORE, *words, "train.epochs=4") == 0
    said = capsys.readouterr().out
    assert "begun with the finished run of fewer epochs, outputs/" in said
    assert "going on from epoch 3, step 0" in said
    assert "epoch 2/4" not in said
    assert_same_run(run_of(4), Path("at_once"))
    assert len(results_of(run_of(4))[2]) == 4
    assert [*map(str, kept[2:])] == [*map(str, results_of(run_of(2))[2:])]  # left as it was


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["scheduler=cosine"], "the rates of Cosine depend on the number of epochs"),
     (["scheduler=pytorch", "scheduler._target_=torch.optim.lr_scheduler.StepLR",
       "+scheduler.step_size=1"],
      "the rates of torch.optim.lr_scheduler.StepLR may depend on the number of epochs"),
     ([*STEPS, "no checkpoint"], "it has no checkpoint any more"),
     ([*STEPS, "precision=auto"], "with precision=bfloat16 and would go on with precision=")],
    ids=["cosine", "pytorch", "no checkpoint", "precision"],
)  # fmt: skip
def test_where_it_is_no_beginning_it_is_told_and_trained_anew(
    etude: Etude,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
):
    more = [*MORE, *(word for word in words if word != "no checkpoint")]
    with monkeypatch.context() as patch:
        if "precision=auto" in words:
            patch.setattr("etude.train.run.choose_precision", lambda *_, **__: "bfloat16")
        assert etude(*more, "train.epochs=1") == 0
    # Whatever this machine's processor would be best at.
    monkeypatch.setattr("etude.train.run.choose_precision", lambda *_, **__: "float32")
    if "no checkpoint" in words:
        for path in Path("outputs").glob("*/*/last.ckpt*"):
            path.unlink()
    capsys.readouterr()
    assert etude(*more, "train.epochs=2") == 0
    said = capsys.readouterr().out
    assert "not begun with the finished run of fewer epochs, " in said
    assert reason in said
    assert "epoch 1/2" in said


@pytest.mark.parametrize("other", ["seed=1", "optimizer.lr=0.02", "fresh=true"])
def test_another_run_is_no_beginning(
    etude: Etude, workplace: Path, other: str, capsys: pytest.CaptureFixture[str]
):
    assert etude(*MORE, *STEPS, "train.epochs=1") == 0
    assert etude(*MORE, *STEPS, "train.epochs=2", other) == 0
    assert "finished run of fewer epochs" not in capsys.readouterr().out
