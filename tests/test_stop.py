"""Signals in a job of submitit's, whose own handlers are asked what they mean."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run, summary_of

from etude.train.stop import Requeued, Stop

submission = pytest.importorskip("submitit.core.job_environment")
utils = pytest.importorskip("submitit.core.utils")

# A network that is sent a signal where its words say.
SIGNALLED = """
import os, signal
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, input_size, number, batch):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size**2, num_classes))
        self.number, self.batch, self.calls = number, batch, 0
        if not batch and not self.layers[1].weight.is_meta:
            os.kill(os.getpid(), number)

    def forward(self, images):
        if self.training:
            self.calls += 1
            if self.calls == self.batch:
                os.kill(os.getpid(), self.number)
        return self.layers(images)
"""
WORDS = ["--config-dir=conf", "model=signalled", "packages=[signalled]", "device=cpu",
         "hydra/launcher=basic", "train.checkpoint_seconds=1000", *SMALL]  # fmt: skip
LEFT = -1  # what submitit ends a process with whose job it has queued again


class Work:
    """What submitit queues up again."""

    def checkpoint(self) -> Any:
        return utils.DelayedSubmission(self)

    def __call__(self) -> None:
        pass


@pytest.fixture
def requeued(workplace: Path) -> Iterator[list[int]]:
    """Submitit's handlers in this process; what they queue up again is counted."""
    noted: list[int] = []
    paths = utils.JobPaths(workplace, job_id="7")
    delayed = utils.DelayedSubmission(Work())
    delayed.set_timeout(60, 3)
    environment = SimpleNamespace(global_rank=0, _requeue=noted.append)
    handler = submission.SignalHandler(environment, paths, delayed)
    ours = {
        signal.SIGTERM: handler.bypass, signal.SIGUSR2: handler.checkpoint_and_try_requeue
    }  # fmt: skip
    before = {number: signal.signal(number, own) for number, own in ours.items()}
    yield noted
    for number, own in before.items():
        signal.signal(number, own)


@pytest.fixture
def signalled(workplace: Path) -> Path:
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "signalled.yaml").write_text(
        f"_target_: signalled.Net\nnumber: {int(signal.SIGTERM)}\nbatch: 10\n"
    )
    (workplace / "signalled.py").write_text(SIGNALLED)
    return workplace


def test_sigterm_saves_at_once_and_leaves_the_end_to_slurm(
    signalled: Path, requeued: list[int], etude: Callable[..., int]
):
    assert etude(*WORDS) == 0
    folder = only_run(signalled)
    log = (folder / "run.log").read_text()
    assert re.search(r"SIGTERM: saved at epoch 2, step 4\n", log), log  # 6 steps an epoch
    assert "training goes on until SLURM ends the job" in log
    assert summary_of(folder)["state"] == "finished"
    assert requeued == []


def test_the_signal_before_a_time_limit_saves_and_queues_the_job_again(
    signalled: Path, requeued: list[int], etude: Callable[..., int]
):
    assert etude(*WORDS, f"model.number={int(signal.SIGUSR2)}") == LEFT
    folder = only_run(signalled)
    assert "SIGUSR2: saved at epoch 2, step 4" in (folder / "run.log").read_text()
    saved = torch.load(folder / "last.ckpt", weights_only=True)["state"]
    assert (saved["epoch"], saved["step"]) == (1, 4)
    assert summary_of(folder)["state"] == "preempted"
    assert requeued == [3]


def test_the_signal_before_a_time_limit_is_no_failure_of_a_run_that_has_not_begun(
    signalled: Path, requeued: list[int], etude: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    # With any other code the launcher would take the job for done.
    assert etude(*WORDS, f"model.number={int(signal.SIGUSR2)}", "model.batch=0") == LEFT
    assert "SystemExit" not in capsys.readouterr().err
    assert requeued == [3]


def test_a_second_sigterm_while_the_first_is_handed_on_ends_nothing(requeued: list[int]):
    with Stop() as stop:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert not stop.hand_on()
        assert stop.exit_code is None
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR2)
        assert stop.signal_name == "SIGUSR2"
        with pytest.raises(Requeued):
            stop.hand_on()
