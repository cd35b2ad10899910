"""Published and documented numbers of parameters, on the meta device: no memory, no time."""

import pytest
import torch
from torch import nn

from etude.models.alexnet import AlexNetSmall
from etude.models.lenet import LeNet5
from etude.models.vgg import VGG


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("input_size", "parameters"), [(28, 44_426), (32, 61_706)])
def test_lenet5_has_the_documented_number_of_parameters(input_size: int, parameters: int):
    with torch.device("meta"):
        model = LeNet5(1, 10, input_size=input_size)
    assert count(model) == parameters
    assert [p.numel() for p in model.features.parameters()] == [150, 6, 2400, 16]


def test_the_alexnet_of_document_001_has_3900938_parameters():
    with torch.device("meta"):
        model = AlexNetSmall(1, 10, input_size=28)
        assert model.features(torch.empty(2, 1, 28, 28)).shape == (2, 256, 3, 3)
    assert count(model) == 3_900_938


@pytest.mark.parametrize(
    ("network", "settings", "smallest"),
    [(LeNet5, {}, 16), (AlexNetSmall, {}, 12), (VGG, {"variant": "A"}, 32)],
)
def test_a_network_says_from_which_size_on_it_works(network, settings, smallest: int):
    with torch.device("meta"):
        model = network(1, 10, input_size=smallest, **settings)
        assert model(torch.empty(2, 1, smallest, smallest)).shape == (2, 10)
        with pytest.raises(ValueError, match=f"at least {smallest}"):
            network(1, 10, input_size=smallest - 1, **settings)


def test_pooling_before_relu_changes_no_bit():
    torch.manual_seed(0)
    images = torch.randn(4, 3, 9, 9)
    pool, relu = nn.MaxPool2d(3, 2), nn.ReLU()
    assert torch.equal(relu(pool(images)), pool(relu(images)))
