"""A captured step's reading, passes and notes through PyTorch's own compiler, on the CPU."""

from itertools import islice
from pathlib import Path

import pytest
import torch

import etude
from benchmarks.check_steps import AtOnce
from benchmarks.made import Made, advance, finished, made
from etude.train.compiler import Compiler
from etude.train.graph import Epoch, read_batch

AUGMENTATIONS = sorted(
    path.stem for path in (Path(__file__).parents[1] / "conf" / "augment").glob("*.yaml")
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def parts_of(*words: str) -> Made:
    own = ["device=cpu", "precision=float32", "train.step=eager", "train.epochs=1000"]
    return made(etude.compose([*own, "train.batch_size=16", *words]), 62)


@pytest.mark.slow
@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_every_augmentation_can_be_compiled_and_gives_the_same_images(augment: str):
    sides = ["dataset.load_size=32", "dataset.input_size=24"]
    words = ["experiment=resnet20_cifar10", f"augment={augment}"]
    parts = parts_of(*words, *(sides if augment in ("alexnet", "inception", "resnet") else ()))
    epoch = Epoch.of(parts.state, parts.plan.train, 0, 16)  # pyright: ignore[reportArgumentType]
    expected = read_batch(epoch, 16)
    compiler = Compiler(on=True)
    images, labels = compiler.do(augment, read_batch, epoch, 16)
    assert compiler.on  # it did not give up
    torch.testing.assert_close(images, expected.images, rtol=1e-6, atol=1e-6)
    assert torch.equal(labels, expected.labels)
    assert images.stride() == expected.images.stride()


@pytest.mark.slow
def test_reading_passes_and_notes_are_compiled_and_learn_as_they_do_one_by_one():
    losses: list[torch.Tensor] = []
    parts: Made | None = None
    for compiled in ("false", "true"):
        parts = parts_of("experiment=lenet5_mnist", f"train.compile={compiled}")
        losses.append(
            torch.stack([loss.clone() for loss in islice(advance(parts, AtOnce(parts.step)), 8)])
        )
        finished(parts)
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-5)
    assert parts is not None
    assert parts.step.compiler.on  # it did not give up
