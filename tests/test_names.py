"""Patterns of parameters' names, and what is told of one that fits none."""

import pytest
import torch
from torch import nn

from etude.base.errors import UserError
from etude.models.resnet_cifar import ResNetSmall
from etude.train.names import named


def told(model: nn.Module, pattern: str) -> str:
    with pytest.raises(UserError) as caught:
        named(model, [pattern], "train.trainable")
    return str(caught.value)


@pytest.fixture
def network() -> nn.Module:
    with torch.device("meta"):
        return ResNetSmall(num_classes=10, in_channels=3, depth=8)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("fcc.*", "fc.*"),
        ("fcc", "fc.*"),
        ("staeg2.*", "stage2.*"),
        ("fc1.weight", "fc.weight"),
        ("fc.wieght", "fc.weight"),
        ("conv1.*", "*.conv1.*"),
    ],
)
def test_a_pattern_near_a_layer_is_asked_about(network: nn.Module, typed: str, meant: str):
    said = f"train.trainable: {typed} fits no parameter's name; did you mean {meant!r}?"
    assert told(network, typed) == said


def test_else_layers_are_named_and_not_the_first_parameters(network: nn.Module):
    said = told(network, "zzzzzz.*")
    assert ".weight" not in said
    assert said.endswith(", fc, and a pattern is such as fc.*")


def test_of_many_layers_the_first_and_the_last_are_named():
    layers = nn.ModuleDict({f"layer{i}": nn.Linear(1, 1) for i in range(30)})
    said = told(layers, "zzz.*")
    assert "layer5, …, layer24" in said
    assert "layer12" not in said
