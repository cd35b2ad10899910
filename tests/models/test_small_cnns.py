"""The four-layer network and the one with one output, against their numbers and definitions."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from etude.models.binary_cnn import BinaryCNN
from etude.models.cnn4 import ACTIVATIONS, CNN4
from etude.train.memory import count_parameters, walk


def outputs(model: nn.Module, kind: str, size: int) -> list[tuple[int, ...]]:
    return [row.shape for row in walk(model, (3, size, size)) if row.type == kind]


def test_the_four_layer_network_has_89578_parameters_and_its_sides():
    with torch.device("meta"):
        model = CNN4(3, 10, input_size=32)
    assert count_parameters(model) == (89_578, 89_578)
    assert outputs(model, "MaxPool2d", 32) == [(32, 16, 16), (32, 8, 8), (64, 4, 4)]
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 4


@pytest.mark.parametrize("size", [8, 9, 15, 28])
def test_it_works_from_eight_pixels_on(size: int):
    model = CNN4(1, 5, input_size=size, width=0.2)
    assert model(torch.randn(2, 1, size, size)).shape == (2, 5)
    with pytest.raises(ValueError, match="at least 8"):
        CNN4(1, 5, input_size=7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_is_the_one_that_is_asked_for(activation: str):
    torch.manual_seed(0)
    model = CNN4(3, 10, input_size=16, activation=activation)
    function = getattr(torch, activation)
    hidden = torch.randn(2, 3, 16, 16)
    expected = hidden
    for stage in model.features:
        expected = functional.max_pool2d(function(stage.conv(expected)), 3, 2, ceil_mode=True)
    torch.testing.assert_close(model(hidden), model.fc(expected.flatten(1)), rtol=0, atol=1e-5)


def test_the_network_of_one_output_has_3453121_parameters_and_its_sides():
    with torch.device("meta"):
        model = BinaryCNN(3, 2, input_size=150)
    assert count_parameters(model) == (3_453_121, 3_453_121)
    assert outputs(model, "MaxPool2d", 150) == [
        (32, 74, 74), (64, 36, 36), (128, 17, 17), (128, 7, 7),
    ]  # fmt: skip
    assert outputs(model, "Linear", 150) == [(512,), (1,)]


def test_two_logits_of_which_one_is_0_are_sigmoid_and_binary_cross_entropy():
    torch.manual_seed(0)
    model = BinaryCNN(3, 2, input_size=46, dropout=0.0).double()
    images, labels = torch.randn(6, 3, 46, 46, dtype=torch.float64), torch.tensor([0, 1] * 3)
    logits = model(images)
    z = logits[:, 1]
    ours = functional.cross_entropy(logits, labels)
    document = functional.binary_cross_entropy(torch.sigmoid(z), labels.double())
    torch.testing.assert_close(ours, document, rtol=1e-12, atol=0)
    parameters = list(model.parameters())
    for ours_grad, theirs in zip(
        torch.autograd.grad(ours, parameters, retain_graph=True),
        torch.autograd.grad(document, parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours_grad, theirs, rtol=1e-9, atol=1e-15)
    assert torch.equal(logits.argmax(1), (torch.sigmoid(z) > 0.5).long())


def test_more_classes_and_smaller_images_are_refused():
    with pytest.raises(ValueError, match="num_classes=3 must be 2"):
        BinaryCNN(3, 3, input_size=150)
    with pytest.raises(ValueError, match="at least 46"):
        BinaryCNN(3, 2, input_size=45)
