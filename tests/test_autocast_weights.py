"""Rounding all weights by one operation gives the bits that autocast gives by one for each."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from etude.models.lenet import LeNet5
from etude.train.autocast_weights import WeightsAtOnce

LOW = [torch.bfloat16, torch.float16]


class Tied(nn.Module):
    """A weight in two layers, one layer twice, a frozen one, one not used, and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.idle = (nn.Linear(16, 16) for _ in range(3))
        self.second.weight = self.first.weight
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.frozen = nn.Conv2d(4, 1, 3, padding=1).requires_grad_(requires_grad=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.frozen(self.norm(self.convolution(images)).relu()).flatten(1)
        return self.second(self.first(self.first(features)))


class Scaled(nn.Linear):
    """Does something in float32 with its weight, so it must find it so."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (PyTorch's name)
        assert self.weight.dtype == torch.float32
        return super().forward(input) * self.weight.norm()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet": lambda: LeNet5(1, 10, input_size=16),
    "tied": lambda: nn.Sequential(nn.MaxPool2d(4), Tied()),
    "scaled": lambda: nn.Sequential(nn.Flatten(), Scaled(256, 10)),
}


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def passed(
    make: Callable[[], nn.Module], dtype: torch.dtype | None, *, at_once: bool
) -> tuple[nn.Module, Tensor, Counter[str]]:
    torch.manual_seed(0)
    model = make().to(memory_format=torch.channels_last)
    images = torch.rand(8, 1, 16, 16)
    with Operations() as operations:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            output = (WeightsAtOnce(model) if at_once else model)(images)
        output.float().square().mean().backward()
    return model, output, operations.names


@pytest.mark.parametrize("dtype", [*LOW, None])
@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_and_gradients_are_those_of_autocast_to_the_bit(
    network: str, dtype: torch.dtype | None
):
    model, output, _ = passed(NETWORKS[network], dtype, at_once=True)
    expected, expected_output, _ = passed(NETWORKS[network], dtype, at_once=False)
    assert output.dtype == expected_output.dtype
    assert torch.equal(output, expected_output)
    for (name, ours), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None and theirs.grad is not None:
            assert ours.grad.dtype == torch.float32
            assert ours.grad.stride() == theirs.grad.stride()
            assert torch.equal(ours.grad, theirs.grad), name


def test_weights_are_cast_once_there_and_once_back():
    _, _, one_by_one = passed(NETWORKS["lenet"], torch.bfloat16, at_once=False)
    _, _, names = passed(NETWORKS["lenet"], torch.bfloat16, at_once=True)
    assert one_by_one["aten::_to_copy"] - names["aten::_to_copy"] == 2 * 10
    assert names["aten::_foreach_copy_"] == 2
    _, _, plain = passed(NETWORKS["lenet"], None, at_once=True)
    assert "aten::_foreach_copy_" not in plain


def test_layers_have_their_own_weights_again_even_after_an_error():
    model = LeNet5(1, 10, input_size=16)
    with (
        pytest.raises(RuntimeError, match="shape"),
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        WeightsAtOnce(model)(torch.rand(2, 1, 20, 20))
    assert all(isinstance(layer.weight, nn.Parameter) for layer in model.classifier[::2])
    assert not any("weight" in vars(layer) for layer in model.modules())
