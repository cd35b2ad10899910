import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import only_run
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from etude.models.lenet import LeNet5
from etude.train.compiler import Compiler
from etude.train.step import Eager, Step

CPU = torch.device("cpu")


def batch(size: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(size, 1, 28, 28, generator=generator)
    return images, torch.randint(10, (size,), generator=generator)


def network() -> nn.Module:
    torch.manual_seed(0)
    return LeNet5(1, 10, input_size=28)


def trained(model: nn.Module, *, precision: str = "float32", **settings: Any) -> list[float]:
    """Train a model for three steps on one batch; its losses."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "float16")
    step = Step(model, optimizer, scaler=scaler, device=CPU, precision=precision, **settings)
    return [float(step(*batch(), whole=True).loss) for _ in range(3)]


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def test_a_step_is_one_update_by_the_mean_gradient():
    model = network()
    expected = copy.deepcopy(model)
    images, labels = batch()
    functional.cross_entropy(expected(images), labels).backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter.sub_(0.1 * parameter.grad)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    result = Step(model, optimizer, scaler=scaler, device=CPU, precision="float32")(images, labels)
    torch.testing.assert_close(weights(model), weights(expected))
    assert 0 <= int(result.correct) <= 12


@pytest.mark.parametrize("parts", [2, 5, 100])
def test_a_batch_computed_in_parts_gives_the_same_update(parts: int):
    whole, divided = network(), network()
    assert trained(divided, accumulate=parts) == pytest.approx(trained(whole), rel=1e-5)
    torch.testing.assert_close(weights(divided), weights(whole), rtol=1e-4, atol=1e-6)


class OnVectors(nn.Module):
    """Batch norm on vectors, which one image is too few for."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(28 * 28, 10), nn.BatchNorm1d(10)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.fc(images.flatten(1)))


@pytest.mark.parametrize(
    ("accumulate", "images", "parts"),
    [
        (2, 2, [2]),
        (2, 3, [3]),
        (3, 7, [3, 2, 2]),
        (4, 4, [2, 2]),
        (2, 8, [4, 4]),
        (3, 8, [3, 3, 2]),
    ],
)
def test_no_part_has_one_image_where_batch_norm_needs_two(
    accumulate: int, images: int, parts: list[int]
):
    model = OnVectors()
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    how: Any = {"scaler": scaler, "device": CPU, "precision": "float32"}
    Step(model, optimizer, accumulate=accumulate, smallest_part=2, **how)(*batch(images))
    assert sizes == parts


def test_parts_are_those_of_chunk_wherever_none_is_too_small():
    how: Any = {"scaler": torch.amp.GradScaler("cpu", enabled=False), "device": CPU}
    model = OnVectors()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images in range(1, 40):
        for asked in range(1, 45):
            step = Step(model, optimizer, accumulate=asked, precision="float32", **how)
            chunks = torch.empty(images).chunk(min(asked, images))
            assert step.part_sizes(images) == [len(part) for part in chunks]


@pytest.mark.parametrize(("asked", "told"), [(8, "4 parts of up to 2"), (3, "3 parts of up to 3")])
def test_as_many_parts_are_told_as_there_are(
    etude: Callable[..., int], workplace: Path, asked: int, told: str
):
    words = ["model=vgg_cifar", "model.width=0.1", "dataset.input_size=32", "train.epochs=1"]
    words += ["dataset.limit_train=16", "dataset.limit_test=8", "train.batch_size=8"]
    assert etude(*words, "dataset.validation_split=none", f"train.accumulate={asked}") == 0
    said = f"train.accumulate={asked}: each batch is computed in {told} images"
    assert said in (only_run(workplace) / "run.log").read_text()


def test_a_last_batch_of_few_images_is_learned_from_in_parts(etude: Callable[..., int]):
    words = ["model=vgg_cifar", "dataset.input_size=32", "train.epochs=1", "train.batch_size=8"]
    words += ["dataset.limit_train=34", "dataset.limit_test=8", "dataset.validation_split=none"]
    assert etude(*words, "train.test_every_epoch=true", "train.accumulate=8") == 0


def test_the_gradients_norm_is_clipped_over_all_parameters():
    model = network()
    before = weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = Step(model, optimizer, scaler=scaler, device=CPU, precision="float32", clip_norm=0.01)
    step(*batch())
    assert float((weights(model) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_label_smoothing_is_in_the_loss():
    images, labels = batch()
    model = network()
    with torch.no_grad():
        expected = functional.cross_entropy(model(images), labels, label_smoothing=0.1)
    assert trained(model, label_smoothing=0.1)[0] == pytest.approx(float(expected))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns_alike_with_weights_kept_in_float32(precision: str):
    model, low = network(), network()
    assert trained(low, precision=precision) == pytest.approx(trained(model), rel=0.02)
    assert {parameter.dtype for parameter in low.parameters()} == {torch.float32}
    assert not torch.equal(weights(low), weights(model))


def test_channels_last_gives_the_same_update():
    plain = network()
    last = network().to(memory_format=torch.channels_last)
    assert trained(last) == pytest.approx(trained(plain), rel=1e-5)


@pytest.mark.slow
def test_a_compiled_step_agrees_with_an_eager_one_and_is_reused():
    from torch._dynamo.utils import counters  # noqa: PLC0415 (seconds)

    eager, compiled = network(), network()
    assert trained(compiled, compiler=Compiler(on=True)) == pytest.approx(trained(eager), rel=1e-4)
    graphs = counters["stats"]["unique_graphs"]
    trained(network(), compiler=Compiler(on=True))  # as a later job of a sweep does
    assert counters["stats"]["unique_graphs"] == graphs, "it was compiled again"


class Waiting(TorchDispatchMode):
    """Fail where the host would wait for a device: at a tensor's value, or a copy to the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")
        assert func.name() not in waits, f"{func.name()} waits for the device"
        assert str((kwargs or {}).get("device")) != "cpu" or func.name() != "aten::_to_copy"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "optimizer", ["sgd", "sgd_keras", "adam", "adam_keras", "adadelta", "rmsprop"]
)
def test_the_loop_asks_for_no_value_inside_an_epoch(
    optimizer: str, etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    advance = Eager.advance
    steps = 0

    def watched(self: Eager, state: Any) -> None:
        nonlocal steps
        steps += 1
        with Waiting():
            advance(self, state)

    monkeypatch.setattr(Eager, "advance", watched)
    words = ["train.clip_norm=1", "train.accumulate=2", "augment=crop_flip_erase", "train.epochs=1"]
    words += ["augment.shift_fraction=0.1", "dataset.limit_train=100", f"optimizer={optimizer}"]
    # A cast to another precision is a copy to the device that it is on, here the CPU.
    assert etude(*words, "precision=float32") == 0
    assert steps == 3
