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


def test_the_vgg11_of_document_000_has_28142858_parameters():
    with torch.device("meta"):
        model = VGG(1, 10, variant="A", input_size=56, stage_dropout=(0, 0, 0.2, 0.2, 0.2))
        shapes = []
        images = torch.empty(2, 1, 56, 56)
        for stage in model.features:
            images = stage(images)
            shapes.append(tuple(images.shape[1:]))
    assert shapes == [(64, 28, 28), (128, 14, 14), (256, 7, 7), (512, 3, 3), (512, 1, 1)]
    assert count(model) == 28_142_858


# Table 2 of the paper in millions, to the unit as in torchvision where it has the network.
PUBLISHED = {
    "A": 132_863_336,
    "B": 133_047_848,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
}


@pytest.mark.parametrize(("variant", "parameters"), PUBLISHED.items())
def test_vgg_has_the_published_number_of_parameters(variant: str, parameters: int):
    with torch.device("meta"):
        model = VGG(3, 1000, variant=variant, input_size=224)
    assert count(model) == parameters


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
