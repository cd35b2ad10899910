"""What a rehearsal says of memory, held against counts by hand."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from launches import rehearsed

from etude.cli.compose import Composer
from etude.cli.summary import main
from etude.config import Config
from etude.preflight import footprint, rehearsal
from etude.preflight.pretend import BLOCK_BYTES

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to do it on")

FLOAT, INDEX = 4, 8  # bytes
MIB = 2**20
STEP = "augment=none precision=float32 train.eval_batch_size=1 train.batch_size=128"


def rounded(*counts: int) -> int:
    """Bytes of tensors of so many float32 values, as the allocator has them."""
    return sum(-(-FLOAT * count // BLOCK_BYTES) * BLOCK_BYTES for count in counts)


def test_lenet_holds_what_a_count_by_hand_says(composer: Composer):
    seen = rehearsed(f"experiment=lenet5_mnist {STEP}", composer)
    weights = (150, 6, 2400, 16, 30_720, 120, 10_080, 84, 840, 10)
    images = 70_000
    assert seen.data_bytes == pytest.approx(images * (784 + INDEX), rel=1e-3)
    # Weights, two means, the best ones; the epoch's order.
    assert seen.kept_bytes == pytest.approx(4 * rounded(*weights) + INDEX * 60_000, rel=0.02)
    # At the most when the first pool is gone back through: images, the convolution's output and its
    # gradient, the pool's indices and its gradient; the weights' gradients but 156.
    first, pooled = 128 * 6 * 24**2, 128 * 6 * 12**2
    hand = rounded(128 * 784, first, first, pooled, *weights[2:]) + INDEX * pooled
    assert seen.step_bytes == pytest.approx(hand, rel=0.02)


def test_vgg19_holds_what_a_count_by_hand_says(composer: Composer):
    seen = rehearsed(f"experiment=vgg19_cifar10 {STEP}", composer)
    parameters, statistics = 38_975_326, 27_412
    assert seen.data_bytes == pytest.approx(60_000 * (3 * 32**2 + INDEX), rel=1e-3)
    # Weights, velocity, the best ones.
    kept = FLOAT * (3 * parameters + 2 * statistics) + INDEX * 50_000
    assert seen.kept_bytes == pytest.approx(kept, rel=2e-3)
    # Each stage's convolutions: their output, and what batch norm makes of it, changed in place by
    # ReLU; then the pool's output with its indices.
    stages = [(2, 64 * 32**2), (2, 128 * 16**2), (4, 256 * 8**2), (4, 512 * 4**2), (4, 512 * 2**2)]
    outputs = [128 * (2 * FLOAT * n + (FLOAT + INDEX) / 4) * size for n, size in stages]
    # At the most when the last stage is done with: the gradients of its weights and of the three
    # linear layers stand beside the outputs of the stages before.
    gradients = FLOAT * (4 * 512 * 512 * 9 + 512 * 4096 + 4096 * 4096 + 4096 * 10)
    assert seen.step_bytes == pytest.approx(sum(outputs[:4]) + gradients, rel=0.05)


def test_larger_batches_and_parts_of_them_take_what_they_should(composer: Composer):
    words = "experiment=vgg19_cifar10 augment=none precision=float32 train.eval_batch_size=1"
    small, large, parts = (
        rehearsed(f"{words} {more}", composer).step_bytes
        for more in ("train.batch_size=128", "train.batch_size=512",
                     "train.batch_size=512 train.accumulate=4")
    )  # fmt: skip
    assert large > 2 * small
    assert parts < 1.6 * small


def test_what_is_computed_between_epochs_counts_beside_a_captured_step(composer: Composer):
    words = "model=vgg_cifar dataset=cifar10 precision=float32 train.batch_size=600"
    shown = "record.tensorboard=true record.norms=true"
    seen = {
        more: rehearsed(f"{words} {more}", composer)
        for more in (
            shown,
            f"{shown} train.accumulate=3",
            f"{shown} train.step=eager",
            "record.norms=false record.histograms=false dataset.validation_split=none",
            "record.tensorboard=false dataset.limit_train=600 dataset.validation_split=none",
        )
    }
    whole, parts, eager, plain, even = seen.values()
    assert whole.beside_bytes > 0.9 * whole.step_bytes  # a forward and a backward pass too
    assert parts.beside_bytes < 0.5 * whole.beside_bytes
    assert eager.peak_bytes < 0.6 * whole.peak_bytes  # the same memory, one after the other
    rest = 50_000 % 600 / 600
    assert plain.beside_bytes == pytest.approx(rest * plain.step_bytes, rel=0.5)
    assert even.beside_bytes in range(plain.beside_bytes)
    for each in seen.values():
        assert each.peak_bytes >= (
            each.data_bytes + each.kept_bytes + each.step_bytes + each.beside_bytes
        )


def test_bfloat16_takes_less(composer: Composer):
    words = "experiment=vgg19_cifar10 train.eval_batch_size=1 precision="
    assert (
        rehearsed(f"{words}bfloat16", composer).peak_bytes
        < rehearsed(f"{words}float32", composer).peak_bytes
    )


def test_a_process_that_has_trained_before_says_so():
    script = """
import torch
from etude.base.errors import UserError
from etude.cli.compose import composing
torch.ones(1, requires_grad=True).sum().backward()
from launches import rehearsed
with composing() as composer:
    try:
        rehearsed("model=lenet5 dataset=mnist", composer)
    except UserError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert "this process has trained before" in done.stdout


# --- who asks for it ----------------------------------------------------------------------------
def test_packing_goes_by_the_rehearsal(composer: Composer):
    words = ["model=lenet5", "precision=float32"]
    (job,) = composer.run(words).jobs
    wanted = footprint.predicted(job.config)
    assert wanted is not None
    large = replace(job.config.train, batch_size=1000)
    assert footprint.predicted(replace(job.config, train=large)) > wanted + MIB


def test_jobs_that_differ_in_a_rate_are_rehearsed_once(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Config] = []

    def counted(config: Config, _: object) -> int:
        asked.append(config)
        return len(asked)

    monkeypatch.setattr(footprint, "_predicted", counted)
    monkeypatch.setattr(footprint, "_KNOWN", {})
    same = [
        [], ["optimizer.lr=0.3"], ["seed=7"], ["init=glorot_uniform"], ["train.epochs=77"],
        ["name=another"],
    ]  # fmt: skip
    others = [
        ["l2=0.1"], ["optimizer=sgd"], ["train.batch_size=99"], ["train.average_decay=0.9"],
        ["model=lenet5_1998"], ["augment=none"], ["precision=bfloat16"], ["dataset.limit_train=99"],
    ]  # fmt: skip

    def predicted(words: list[str]) -> int | None:
        (job,) = composer.run(["model=lenet5", "augment=shift", *words]).jobs
        return footprint.predicted(job.config)

    assert {predicted(words) for words in same} == {1}
    assert [predicted(words) for words in others] == [*range(2, 2 + len(others))]
    assert predicted(["l2=0.2"]) == 2


def test_jobs_that_ask_at_once_are_rehearsed_once_and_one_that_failed_again(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    (job,) = composer.run(["model=lenet5"]).jobs
    asked, go_on = [0], threading.Event()

    def fails_first(*_: object) -> int:
        asked[0] += 1
        assert go_on.wait(60)
        if asked[0] == 1:
            raise OSError
        return 7

    monkeypatch.setattr(footprint, "_predicted", fails_first)
    monkeypatch.setattr(footprint, "_KNOWN", {})
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(footprint.predicted, job.config) for _ in range(3)]
        time.sleep(0.1)  # for all to have asked
        go_on.set()
        assert {type(answer.exception()) for answer in answers} == {OSError}
    assert asked == [1]
    assert footprint.predicted(job.config) == 7


def test_packing_goes_by_the_document_where_a_step_cannot_be_rehearsed(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    from etude.models.lenet import LeNet5  # noqa: PLC0415

    forward = LeNet5.forward

    def waits(self: LeNet5, images: torch.Tensor) -> torch.Tensor:
        if images.device.type != "meta":
            float(images.sum())
        return forward(self, images)

    monkeypatch.setattr(LeNet5, "forward", waits)
    (job,) = composer.run(["model=lenet5", "precision=float32", "train.batch_size=77"]).jobs
    data, step = 1_797 * 28 * 28, 4 * (4 * 44_426 + 2 * 77 * 6_598)
    assert footprint.predicted(job.config) == data + step


def test_the_summary_shows_it_beside_the_documents(
    workplace: Any, capsys: pytest.CaptureFixture[str], etude: Callable[..., int]
):
    assert main(["precision=float32"]) == 0
    output = capsys.readouterr().out
    (line,) = (line for line in output.splitlines() if line.startswith("on a GPU"))
    assert "at the most in float32" in line
    assert "operations a step" in line


def test_beside_a_gpu_a_rehearsal_has_a_process_of_its_own(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    words = f"experiment=lenet5_mnist {STEP}"
    here = rehearsed(words, composer)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(rehearsal, "Pretend", None)
    assert rehearsed(words, composer) == here
