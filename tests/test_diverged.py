"""A run whose loss becomes NaN or infinite: it has no result, and what it keeps is from before."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, only_run, summary_of

Etude = Callable[..., int]
BLOWN_UP = ["optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "record.curves=false"]
ONE_STEP = ["dataset.limit_train=200", "train.batch_size=200", "dataset.validation_split=none"]


def checkpoint(folder: Path) -> dict[str, int]:
    return torch.load(folder / "last.ckpt", weights_only=True)["state"]


def test_the_final_weights_are_looked_at_too(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude(*ONE_STEP, *BLOWN_UP, "train.epochs=1") == 1
    folder = only_run(workplace)
    summary = summary_of(folder)
    assert summary["state"] == "failed"
    assert summary["error"].startswith("Diverged: the loss became nan in epoch 1, evaluation")
    assert "final" not in summary
    assert not (folder / "best.safetensors").exists()
    assert "there is no checkpoint yet" in "".join(capsys.readouterr())
    assert not (folder / "last.ckpt").exists()  # its weights are the bad ones


def test_a_checkpoint_of_the_weights_that_blew_up_is_not_called_good(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    """It is finite and whole; only the loss of the step after it tells."""
    steps = ["train.batch_size=50", "dataset.validation_split=none", "train.checkpoint_steps=1"]
    assert etude(*SMALL, *BLOWN_UP, *steps) == 1
    folder = only_run(workplace)
    assert "epoch 1, step 2" in summary_of(folder)["error"]
    assert "there is no checkpoint yet" in "".join(capsys.readouterr())
    assert not list(folder.glob("last.ckpt*"))


def test_the_checkpoint_before_it_is_kept_and_gone_on_from(etude: Etude, workplace: Path):
    words = [*SMALL, "train.batch_size=50", "dataset.validation_split=none",
             "optimizer=sgd", "scheduler=steps", "scheduler.milestones_epochs=[1]",
             "scheduler.factors=[1,1e32]", "scheduler.factor=null",
             "train.checkpoint_steps=1"]  # fmt: skip
    for _ in range(2):  # again, it goes on from there
        assert etude(*words) == 1
        folder = only_run(workplace)
        assert "epoch 2, step 2" in summary_of(folder)["error"]
        state = checkpoint(folder)
        assert (state["epoch"], state["step"]) == (1, 0)


def test_a_penalty_that_is_infinite_is_a_divergence(etude: Etude, workplace: Path):
    words = ["dataset.validation_split=none", "train.epochs=1", "l2=1e-3"]
    assert etude(*ONE_STEP, "optimizer=sgd", "optimizer.lr=1e22", "scheduler=constant", *words) == 1
    assert summary_of(only_run(workplace))["error"].startswith("Diverged")
