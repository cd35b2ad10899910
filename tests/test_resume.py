"""A run that is cut and resumed equals one that was left alone, to the bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MEASURED, SMALL, only_run, summary_of
from safetensors.torch import load_file

from etude.runs.records import read_rows
from etude.train import run, step
from etude.train.final_test import finish

# Dropout, augmentation of every kind, shuffling, a schedule by step, momentum, an odd last batch.
WORDS = [
    "model=alexnet_mnist", "dataset.limit_train=150", "dataset.limit_test=30", "train.epochs=3",
    "train.batch_size=32", "augment=crop_flip_erase", "augment.shift_fraction=0.1",
    "optimizer=sgd_keras", "optimizer.nesterov=true", "scheduler=cosine", "l2=1e-4",
    "train.clip_norm=1", "record.curves=false", "record.tensorboard=false",
]  # fmt: skip
STEPS = 3 * 5  # 135 images are left to train on


def results_of(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], Any, Any]:
    """Everything of a run that must not depend on how often it was cut."""
    saved = torch.load(folder / "last.ckpt", weights_only=True)["state"]
    rows = [{k: v for k, v in row.items() if k not in MEASURED} for row in read_rows(folder)]
    summary = summary_of(folder)
    return load_file(folder / "best.safetensors"), saved, rows, [summary["final"], summary["best"]]


def same_bits(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_bits(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_bits, one, other))
    return one == other


def assert_same_run(one: Path, other: Path) -> None:
    ours, theirs = results_of(one), results_of(other)
    for saved in (ours[1], theirs[1]):
        saved.pop("seconds")
    for mine, yours in zip(ours, theirs, strict=True):
        assert same_bits(mine, yours)


class Cut(KeyboardInterrupt):
    """The process ends here."""


OTHERWISE = [
    [],
    ["optimizer=adam_keras", "precision=bfloat16"],
    ["train.average_decay=0.9"],
    ["optimizer=adadelta", "scheduler=plateau", "scheduler.patience_epochs=1"],
    ["scheduler=pytorch", "scheduler._target_=torch.optim.lr_scheduler.OneCycleLR",
     "scheduler.per=step", "+scheduler.max_lr=0.05", "+scheduler.cycle_momentum=false"],
    ["scheduler=pytorch", "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
     "+scheduler.patience=0", "+scheduler.threshold=10"],
]  # fmt: skip


@pytest.mark.parametrize("extra", OTHERWISE)
def test_a_run_cut_at_random_steps_equals_an_uninterrupted_one(
    workplace: Path, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch, extra: list[str]
):
    words = [*WORDS, *extra]
    if "optimizer" in "".join(extra):
        words.remove("optimizer.nesterov=true")
    assert etude(*words, "name=whole") == 0
    seed = random.randrange(10**6)
    print(f"random.seed({seed})")  # noqa: T201 (to repeat a failure)
    cuts = sorted(random.Random(seed).sample(range(1, STEPS), 3))
    train = step.Step.__call__
    done = 0

    def counted(self: step.Step, *batch: torch.Tensor, **how: Any) -> Any:
        nonlocal done
        if cuts and done == cuts[0]:
            cuts.pop(0)
            raise Cut
        done += 1
        return train(self, *batch, **how)

    monkeypatch.setattr(step.Step, "__call__", counted)
    codes = []
    while not codes or codes[-1] != 0:
        done = position(workplace / "outputs" / "cut")
        codes.append(etude(*words, "name=cut", "train.checkpoint_steps=2"))
    assert codes == [130, 130, 130, 0]
    one, other = (next((workplace / "outputs" / name).iterdir()) for name in ("whole", "cut"))
    assert_same_run(one, other)


def position(runs: Path) -> int:
    """The steps that the last checkpoint below a folder knows of."""
    for path in runs.glob("*/last.ckpt"):
        state = torch.load(path, weights_only=True)["state"]
        return state["epoch"] * (STEPS // 3) + state["step"]
    return 0


def start(workplace: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "etude", *words],
        cwd=workplace,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


LONGER = ["train.epochs=12", "augment=shift", "record.curves=false", "train.checkpoint_steps=7"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    start(folder, *LONGER).communicate(timeout=120)
    return only_run(folder)


def epochs_done(workplace: Path) -> int:
    return sum(len(read_rows(p.parent)) for p in workplace.glob("outputs/*/*/metrics.jsonl"))


@pytest.mark.parametrize(
    ("number", "code", "state"),
    [
        (signal.SIGINT, 130, "preempted"),
        (signal.SIGTERM, 75, "preempted"),
        (signal.SIGKILL, -9, "running"),
    ],
)
def test_a_run_that_is_signalled_ends_with_its_code_and_goes_on_to_the_same_result(
    workplace: Path, whole: Path, number: signal.Signals, code: int, state: str
):
    process = start(workplace, *LONGER)
    wait_for(lambda: epochs_done(workplace) >= 2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    folder = only_run(workplace)
    assert summary_of(folder)["state"] == state
    assert ("the same command goes on" in output) == (state == "preempted")
    again = start(workplace, *LONGER)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert "going on from epoch" in output
    assert_same_run(folder, whole)
    assert [row["epoch"] for row in read_rows(folder)] == list(range(1, 13))


def test_a_signal_after_the_last_epoch_is_told_to_have_come_too_late(
    etude: Callable[..., int], workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    def late(*given: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return finish(*given, **named)

    monkeypatch.setattr("etude.train.run.finish", late)
    assert etude(*SMALL, "train.epochs=1") == 130
    (run,) = workplace.glob("outputs/*/*")
    assert summary_of(run)["state"] == "finished"
    said = "finished: the signal came too late; the same command shows the result"
    assert said in (run / "run.log").read_text()


def test_a_stopped_sweep_ends_at_once_with_the_runs_code(workplace: Path):
    words = ["-m", "seed=0,1,2", "train.epochs=100", "record.curves=false"]
    process = start(workplace, *words, "hydra/launcher=basic")
    wait_for(lambda: bool(list(workplace.glob("outputs/*/*/metrics.jsonl"))))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 75, output
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 1


DIVERGES_LATE = [
    "scheduler=steps", "scheduler.milestones_epochs=[1]", "scheduler.factors=[1,1e35]",
    "scheduler.factor=null", "train.checkpoint_steps=1", "train.clip_norm=null",
]  # fmt: skip


def test_auto_stays_what_it_was_when_a_run_began(
    workplace: Path, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    words = [*WORDS, *DIVERGES_LATE]
    monkeypatch.setattr(run, "choose_precision", lambda *_, **__: "bfloat16")
    assert etude(*words) == 1  # it diverges, and leaves a checkpoint
    monkeypatch.setattr(run, "choose_precision", lambda *_, **__: "float32")
    assert etude(*words) == 1
    folder = only_run(workplace)
    assert "going on from epoch" in (folder / "run.log").read_text()
    assert summary_of(folder)["precision"] == "bfloat16"
    assert etude(*words, "fresh=true") == 1
    assert summary_of(folder)["precision"] == "float32"


def test_a_run_is_never_continued_in_another_precision(
    workplace: Path,
    etude: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    words = [*WORDS, *DIVERGES_LATE]
    monkeypatch.setattr(run, "choose_precision", lambda *_, **__: "bfloat16")
    assert etude(*words) == 1  # it diverges, and leaves a checkpoint
    monkeypatch.setattr(run, "choose_precision", lambda *_, **__: "float32")
    (only_run(workplace) / "summary.json").unlink()  # which says what it was
    capsys.readouterr()
    assert etude(*words) == 2
    assert "precision=bfloat16" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_replaced_by_the_one_before_it(
    workplace: Path, etude: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    """The last state of a run that diverges can be repeated from any earlier one."""
    words = [*WORDS, *DIVERGES_LATE]
    assert etude(*words) == 1
    folder = only_run(workplace)
    last = folder / "last.ckpt"
    damaged = bytearray(last.read_bytes())
    damaged[len(damaged) // 2] ^= 1  # one bit of one weight
    last.write_bytes(damaged)
    assert etude(*words) == 1
    output = capsys.readouterr().out
    assert "last.ckpt is damaged" in output


@pytest.mark.parametrize(("recorded", "taken"), [(2, 2), (1, 1), (10**9, 1), (None, 1)])
def test_a_run_goes_on_in_as_many_threads_as_it_began_with(
    workplace: Path,
    etude: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recorded: int | None,
    taken: int,
):
    words = [*WORDS, "train.epochs=2"]
    monkeypatch.setattr(run, "fit", cut_after_one_epoch(run.fit))
    assert etude(*words) == 130
    monkeypatch.undo()
    monkeypatch.chdir(workplace)
    folder = only_run(workplace)
    summary = summary_of(folder)
    assert summary.pop("threads") == 1
    more = {} if recorded is None else {"threads": recorded}
    (folder / "summary.json").write_text(json.dumps({**summary, **more}))
    capsys.readouterr()
    assert etude(*words) == 0
    assert summary_of(folder)["threads"] == taken
    told = "computing in 2 threads, as the run began, and not in 1" in capsys.readouterr().out
    assert told is (taken == 2)
    assert torch.get_num_threads() == 1  # for what the process does next


def cut_after_one_epoch(fit: Callable[..., Any]) -> Callable[..., Any]:
    def first(*parts: Any, **how: Any) -> Any:
        for row in fit(*parts, **how):
            yield row
            raise Cut

    return first
