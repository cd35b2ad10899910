"""The gradient that is shown between two epochs is that of what the training makes small."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.data.batch import Batch
from etude.models.auxiliary import Outputs
from etude.models.googlenet import GoogLeNet
from etude.models.inception_v3 import InceptionV3
from etude.models.lenet import LeNet5
from etude.models.lenet5_1998 import LeNet5Of1998
from etude.train.record.gradients import gradients


def batch(side: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 1, side, side, generator=generator)
    return Batch(images, torch.randint(10, (6,), generator=generator))


def expected(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)


def test_a_network_with_a_loss_of_its_own_has_that_ones_gradient():
    torch.manual_seed(0)
    model, (images, labels) = LeNet5Of1998(1, 10, input_size=32), batch(32)
    wanted = expected(model, model.loss(model(images), labels).mean())
    found = gradients(model, batch(32), precision="float32", label_smoothing=0.0)
    assert_equal(found, wanted)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_is_in_the_gradient(smoothing: float):
    torch.manual_seed(0)
    model, (images, labels) = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), batch(8)
    loss = functional.cross_entropy(model(images), labels, label_smoothing=smoothing)
    found = gradients(model, batch(8), precision="float32", label_smoothing=smoothing)
    assert_equal(found, expected(model, loss))


def test_parts_of_a_batch_have_its_gradient_and_are_what_is_in_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    torch.manual_seed(0)
    model, asked = LeNet5(1, 10, input_size=16), []
    monkeypatch.setattr(
        model, "forward", lambda x: asked.append(len(x)) or LeNet5.forward(model, x)
    )
    how: Any = {"precision": "float32", "label_smoothing": 0.1}
    whole = gradients(model, batch(16), **how)
    assert_equal(gradients(model, batch(16), **how, sizes=[3, 2, 1]), whole)
    one = gradients(model, batch(16), **how, sizes=[6])
    assert all(torch.equal(one[name], value) for name, value in whole.items())
    assert asked == [6, 3, 2, 1, 6]


def inception() -> InceptionV3:
    return InceptionV3(1, 10, input_size=16, stem="small", width=0.0625)


def googlenet() -> GoogLeNet:
    return GoogLeNet(1, 10, input_size=32, stem="small", width=0.0625)


@pytest.mark.parametrize(("make", "side"), [(inception, 16), (googlenet, 32)])
def test_auxiliary_heads_are_in_the_gradient_and_the_network_stays_as_it_was(
    make: Callable[[], nn.Module], side: int
):
    torch.manual_seed(0)
    model, (images, labels) = make().train(), batch(side)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    found = gradients(model, batch(side), precision="float32", label_smoothing=0.0)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    heads = [name for name in found if name.startswith("auxiliar")]
    assert heads
    assert any(float(found[name].abs().sum()) > 0 for name in heads)
    model.eval()
    model.training = True
    output: Any = model(images)
    assert isinstance(output, Outputs)
    losses = [functional.cross_entropy(x, labels) for x in output.auxiliaries.values()]
    loss = functional.cross_entropy(output.logits, labels) + output.weight * sum(losses)
    assert_equal(found, expected(model, loss))
