"""What `train.accumulate=auto` takes, by stand-ins for a GPU's memory and for what a run needs."""

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from safetensors.torch import load_file

from etude.base.gpu_memory import CONTEXT_BYTES, MARGIN, fits, room_for
from etude.cli import network, summary
from etude.cli.compose import Composer
from etude.config import Config
from etude.preflight import footprint
from etude.train import batch_parts, hardware, run
from etude.train.batch_parts import BatchParts, choose_parts, fewest_parts
from etude.train.record import tensorboard_views
from etude.train.record.gradients import gradients
from etude.train.record.layers import layer_spreads
from etude.train.step import Eager, Step

CPU, GPU = torch.device("cpu"), torch.device("cuda")
MIB = 2**20
WORDS = [
    *SMALL, "train.batch_size=48", "precision=float32", "train.checkpoint_steps=2",
    "record.tensorboard=false", "device=cpu",
]  # fmt: skip
# Batch norm, so that parts are another result.
NORMED = ["model=resnet_cifar", "model.depth=8", "model.width=0.25", "train.epochs=1"]


def predict(config: Config) -> int:
    """Stand in for a rehearsal: 100 MiB, and 10 for each image of a part."""
    return 100 * MIB + 10 * MIB * config.train.images_at_a_time


class Stand:
    """A GPU that is not here: what it has free, and how often a run's need was predicted."""

    def __init__(self, images: int) -> None:
        self.has_room_for(images)
        self.asked: list[int] = []

    def has_room_for(self, images: int) -> None:
        """Make free what so many images at a time need."""
        self.free = room_for(100 * MIB + 10 * MIB * images)

    def predict(self, config: Config) -> int | None:
        self.asked.append(config.train.parts)
        return predict(config)


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Let a run's choice be made for a GPU; it computes on the CPU all the same."""
    stand = Stand(16)
    monkeypatch.setattr(run, "choose_device", lambda _: GPU)
    monkeypatch.setattr(footprint, "predicted", stand.predict)
    monkeypatch.setattr(batch_parts, "free_memory", lambda _: stand.free)
    monkeypatch.setattr(batch_parts, "describe", lambda _: "a stand-in")
    return stand


def config_of(composer: Composer, *words: str) -> Config:
    (job,) = composer.run([*words, "train.accumulate=auto"]).jobs
    return job.config


# --- the choice ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("room", "parts", "asked"),
    [
        (48, 1, [1]),
        (47, 2, [1, 2]),
        (16, 3, [1, 2, 4, 3]),
        (10, 5, [1, 2, 4, 8, 6, 5]),
        (1, 48, []),
    ],
)
def test_auto_is_the_fewest_parts_that_fit(
    composer: Composer, room: int, parts: int, asked: list[int]
):
    stand = Stand(room)
    found = fewest_parts(config_of(composer, *WORDS), stand.free, stand.predict)
    assert found == BatchParts(parts, predict_of(48, parts), stand.free)
    assert not asked or list(dict.fromkeys(stand.asked)) == asked  # each takes seconds
    assert len(stand.asked) < 15


def predict_of(images: int, parts: int) -> int:
    return 100 * MIB + 10 * MIB * -(-images // parts)


def test_not_even_single_images_may_fit(composer: Composer):
    stand = Stand(0)
    assert fewest_parts(config_of(composer, *WORDS), stand.free, stand.predict) is None


def test_where_nobody_can_predict_it_is_one_part(
    composer: Composer, stand: Stand, caplog: pytest.LogCaptureFixture
):
    chosen = choose_parts(config_of(composer), GPU, "float32", lambda _: None)
    assert chosen == BatchParts(1, None, stand.free)
    assert "cannot be predicted" in caplog.text


def test_on_a_cpu_it_is_one_part_and_a_number_is_taken_everywhere(composer: Composer):
    def refuses(_: Config) -> int:
        raise AssertionError

    assert choose_parts(config_of(composer), CPU, "float32", refuses) == BatchParts(1)
    (job,) = composer.run(["train.accumulate=4"]).jobs
    assert choose_parts(job.config, GPU, "float32", refuses) == BatchParts(4)


def test_the_prediction_is_of_the_precision_that_the_run_has(composer: Composer, stand: Stand):
    seen: list[str] = []

    def notes(config: Config) -> int:
        seen.append(config.precision)
        return 0

    choose_parts(config_of(composer), GPU, "bfloat16", notes)
    assert set(seen) == {"bfloat16"}


def test_what_a_run_needs_beside_its_tensors_must_be_free_too():
    assert room_for(0) == pytest.approx(CONTEXT_BYTES / MARGIN, abs=1)
    for predicted in (0, 1, 12_345_678, 80 * 2**30):
        assert fits(predicted, room_for(predicted))
        assert not fits(predicted, room_for(predicted) - 2)


def test_what_pytorch_keeps_at_hand_is_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 5000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 100)
    assert hardware.free_memory(GPU) == 1200


def test_the_rehearsal_tells_in_how_few_parts_a_large_batch_fits(composer: Composer):
    words = ["model=lenet5", "train.batch_size=1000", "precision=float32", "augment=none"]
    config = config_of(composer, *words)
    whole = footprint.predicted(config)
    assert whole is not None
    found = fewest_parts(config, room_for(whole) - MIB, footprint.predicted)
    assert found is not None
    assert found.predicted_bytes is not None
    assert found.parts == 2
    assert found.predicted_bytes < 0.7 * whole


# --- a run and its resumes ------------------------------------------------------------------------
def test_a_resume_keeps_the_parts_that_the_run_began_with(
    workplace: Path, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch, stand: Stand
):
    assert etude(*WORDS, *NORMED, "train.accumulate=3", "name=typed") == 0
    sizes: list[int] = []
    learn, advance, steps = Step._learn, Eager.advance, [0]

    def seen(self: Step, images: torch.Tensor, *rest: Any, **how: Any) -> Any:
        sizes.append(len(images))
        return learn(self, images, *rest, **how)

    def fails(self: Eager, state: Any) -> None:
        steps[0] += 1
        if steps[0] == 3:
            raise ZeroDivisionError
        advance(self, state)

    monkeypatch.setattr(Step, "_learn", seen)
    monkeypatch.setattr(Eager, "advance", fails)
    words = [*WORDS, *NORMED, "train.accumulate=auto", "name=auto"]
    assert etude(*words) == 1
    assert sizes == [16] * 6
    stand.has_room_for(48)
    stand.asked.clear()
    assert etude(*words) == 0
    assert set(sizes) == {16, 12}  # the last batch has 36
    assert stand.asked == []
    folder, typed = (next((workplace / "outputs" / name).iterdir()) for name in ("auto", "typed"))
    assert summary_of(folder)["accumulate"] == summary_of(typed)["accumulate"] == 3
    told = "train.accumulate={}: each batch is computed in 3 parts of up to 16 images"
    assert told.format(3) in (typed / "run.log").read_text()
    assert told.format("auto") in (folder / "run.log").read_text()
    assert "going on from epoch 1, step 2" in (folder / "run.log").read_text()
    ours, theirs = (load_file(path / "best.safetensors") for path in (folder, typed))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert etude(*words, "fresh=true") == 0
    assert summary_of(folder)["accumulate"] == 1  # the earlier one was moved aside
    whole = "train.accumulate=auto: each batch is computed as a whole"
    assert whole in (folder / "run.log").read_text()


def test_a_run_is_never_continued_in_other_parts(
    workplace: Path,
    etude: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stand: Stand,
):
    advance = Eager.advance

    def fails(self: Eager, state: Any) -> None:
        if state.step == 2:
            state.global_step / 0
        advance(self, state)

    monkeypatch.setattr(Eager, "advance", fails)
    words = [*WORDS, "train.accumulate=auto"]
    assert etude(*words) == 1
    (only_run(workplace) / "summary.json").unlink()  # which says what they were
    stand.has_room_for(48)
    capsys.readouterr()
    assert etude(*words) == 2
    told = capsys.readouterr().err
    assert "begun with train.accumulate=3 and would go on with train.accumulate=1" in told


def test_a_run_that_fits_in_no_parts_is_refused_in_one_line(
    workplace: Path, etude: Callable[..., int], capsys: pytest.CaptureFixture[str], stand: Stand
):
    stand.has_room_for(0)
    assert etude(*WORDS, "train.accumulate=auto") == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("etude: train.accumulate=auto: image by image")
    assert "a stand-in has 889 MiB free" in told
    assert not list(workplace.glob("outputs/*/*/summary.json"))


def test_what_tensorboard_shows_is_computed_in_the_steps_parts(
    workplace: Path, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    sizes: list[Any] = []

    def watched(*words: Any, **how: Any) -> Any:
        sizes.append(how["sizes"])
        return gradients(*words, **how)

    monkeypatch.setattr(tensorboard_views, "gradients", watched)
    words = [*WORDS, "train.accumulate=3", "record.tensorboard=true", "record.layers=true"]
    looked = MagicMock(wraps=layer_spreads)
    monkeypatch.setattr(run, "layer_spreads", looked)
    assert etude(*words) == 0
    assert sizes
    assert all(each == [16, 16, 16] for each in sizes)
    assert len(looked.call_args.args[1].labels) == 16


# --- words ----------------------------------------------------------------------------------------
def test_a_batch_size_is_not_chosen(etude: Callable[..., int], capsys: pytest.CaptureFixture[str]):
    assert etude("train.batch_size=auto") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.batch_size=auto must be a whole number above 0, as it changes the result" in line
    assert "train.accumulate=auto" in line
    assert etude("train.batch_size=-1") == 2
    assert "train.accumulate" not in capsys.readouterr().err


def test_auto_and_numbers_are_values_of_one_sweep(composer: Composer):
    planned = composer.sweep(["train.accumulate=auto,1,2"])
    assert [job.config.train.accumulate for job in planned.jobs] == ["auto", 1, 2]
    usual, one, two = (job.identity for job in planned.jobs)
    assert one.fingerprint == composer.run([]).jobs[0].identity.fingerprint
    assert len({usual.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert usual.decisive["train.accumulate"] == "auto"


# --- etude-summary --------------------------------------------------------------------------------
def test_the_summary_tells_what_auto_is(
    workplace: Path, capsys: pytest.CaptureFixture[str], stand: Stand, monkeypatch: Any
):
    words = ["train.batch_size=48", "precision=float32", "device=cpu"]
    assert summary.main([*words, "train.accumulate=auto"]) == 0
    assert "accumulate  auto is 1 on a CPU, and on a GPU with 7" in capsys.readouterr().out
    assert summary.main(words) == 0
    assert "accumulate " not in capsys.readouterr().out
    monkeypatch.setattr(network, "choose_device", lambda _: GPU)
    monkeypatch.setattr(network, "predicted", stand.predict)
    assert summary.main([*words, "train.accumulate=auto"]) == 0
    told = "accumulate  auto is 3 here now: 1,066.7 MiB are needed, 1,066.7 MiB free"
    assert told in capsys.readouterr().out
    assert summary.main([*words, "train.accumulate=auto", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    chosen = BatchParts(3, predict_of(48, 3), stand.free)
    assert shown["accumulate"] == chosen._asdict()
    assert shown["memory"]["batch_size"] == 16


# --- on a GPU -------------------------------------------------------------------------------------
@pytest.fixture
def three_gib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave a GPU with 3 GiB for this process; other tests may be at work on the rest."""
    gc.collect()
    torch.cuda.empty_cache()
    limit, whole = 3 * 2**30, torch.cuda.get_device_properties(GPU).total_memory
    monkeypatch.setattr(batch_parts, "free_memory", lambda _: limit)
    torch.cuda.set_per_process_memory_fraction((limit + torch.cuda.memory_reserved()) / whole)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.gpu
@pytest.mark.usefixtures("three_gib")
def test_a_run_fits_into_what_a_gpu_has_left(workplace: Path, etude: Callable[..., int]):
    words = ["model=vgg_cifar", "dataset.input_size=32", "train.batch_size=1200", "train.epochs=1"]
    assert etude(*words, "precision=float32", "train.accumulate=auto") == 0
    assert summary_of(only_run(workplace))["accumulate"] > 1
