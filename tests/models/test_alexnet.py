"""AlexNet of 2012 and document 003's with batch norm, against their numbers and definitions."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from etude.base.errors import UserError
from etude.models.alexnet import AlexNet
from etude.models.alexnet_batch_norm import AlexNetBatchNorm
from etude.models.lrn import PAPER_LRN
from etude.train.init import Normal
from etude.train.memory import count_parameters, walk


def meta(network, num_classes: int, **settings) -> nn.Module:
    with torch.device("meta"):
        return network(3, num_classes, **settings)


def outputs(model: nn.Module, kind: type[nn.Module], size: int) -> list[tuple[int, ...]]:
    return [row.shape for row in walk(model, (3, size, size)) if row.type == kind.__name__]


@pytest.mark.parametrize(
    ("classes", "groups", "parameters"),
    [(1000, True, 60_965_224), (1000, False, 62_378_344), (17, False, 58_350_993)],
)
def test_alexnet_has_the_published_number_of_parameters(
    classes: int, groups: bool, parameters: int
):
    model = meta(AlexNet, classes, input_size=227, groups=groups)
    assert count_parameters(model) == (parameters, parameters)


def test_without_groups_it_has_the_rows_of_document_003():
    model = meta(AlexNet, 1000, input_size=227, groups=False)
    rows = [count_parameters(stage).trainable for stage in model.features]
    assert rows == [34_944, 614_656, 885_120, 1_327_488, 884_992]
    linear = [m.weight.numel() for m in model.classifier if isinstance(m, nn.Linear)]
    assert sum(rows) + sum(linear) == 62_369_152  # the document leaves out the linear biases


@pytest.mark.parametrize(("size", "padding"), [(227, 0), (224, 2)])
def test_alexnet_has_the_papers_sides(size: int, padding: int):
    model = meta(AlexNet, 1000, input_size=size, padding=padding)
    assert outputs(model, nn.Conv2d, size) == [
        (96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13),
    ]  # fmt: skip
    pools = outputs(model, nn.MaxPool2d, size)
    assert pools == [(96, 27, 27), (256, 13, 13), (256, 6, 6)]


def test_an_image_costs_1135_million_multiplications():
    model = meta(AlexNet, 1000, input_size=227, groups=False)
    macs = sum(layer.macs for layer in walk(model, (3, 227, 227)))
    assert macs // 1_000_000 == 1_135


@pytest.mark.parametrize("groups", [True, False])
@pytest.mark.parametrize("norm", ["before_pool", "after_pool", "none"])
def test_the_first_stages_compute_in_the_order_that_is_asked_for(norm: str, groups: bool):
    torch.manual_seed(0)
    model = AlexNet(3, 5, input_size=67, norm=norm, groups=groups, lrn=PAPER_LRN | {"alpha": 0.1})
    images = torch.randn(2, 3, 67, 67)

    def normalized(values: torch.Tensor) -> torch.Tensor:
        squares = functional.pad(values.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        return values / (2 + 0.1 * squares) ** 0.75

    def pooled(values: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(values, 3, 2)

    steps = {
        "before_pool": lambda values: pooled(normalized(values)),
        "after_pool": lambda values: normalized(pooled(values)),
        "none": pooled,
    }
    hidden = images
    for stage in model.features[:2]:
        hidden = steps[norm](functional.relu(stage.conv(hidden)))
    torch.testing.assert_close(model.features[:2](images), hidden)


@pytest.mark.parametrize("first", [True, False])
def test_dropout_stands_where_it_is_asked_for(first: bool):
    model = meta(AlexNet, 5, input_size=67, dropout_first=first)
    names = list(dict(model.classifier.named_children()))
    hidden = ["fc1", "activation1"], ["fc2", "activation2"]
    drops = ["dropout1"], ["dropout2"]
    expected = (
        [*drops[0], *hidden[0], *drops[1], *hidden[1]]
        if first
        else [*hidden[0], *drops[0], *hidden[1], *drops[1]]
    )
    assert names == [*expected, "fc3"]


def test_document_003s_variant_has_its_rows_and_its_sum():
    model = meta(AlexNetBatchNorm, 17, input_size=224)
    assert count_parameters(model) == (28_075_633, 28_096_769)
    first, second = model.features.stage1, model.features.stage2
    assert count_parameters(first.conv).trainable == 34_944
    assert count_parameters(first.norm).total == 384
    assert count_parameters(second.conv).trainable == 2_973_952
    assert outputs(model, nn.Conv2d, 224) == [
        (96, 54, 54), (256, 17, 17), (384, 6, 6), (384, 4, 4), (256, 2, 2),
    ]  # fmt: skip
    assert outputs(model, nn.MaxPool2d, 224) == [(96, 27, 27), (256, 8, 8), (256, 1, 1)]
    assert outputs(model, nn.Linear, 224) == [(4096,), (4096,), (1000,), (17,)]


@pytest.mark.parametrize(("network", "smallest"), [(AlexNet, 67), (AlexNetBatchNorm, 215)])
def test_a_network_says_from_which_size_on_it_works(network, smallest: int):
    model = meta(network, 5, input_size=smallest)
    assert model(torch.empty(2, 3, smallest, smallest, device="meta")).shape == (2, 5)
    with pytest.raises(ValueError, match=f"at least {smallest}"):
        meta(network, 5, input_size=smallest - 1)


def test_its_initialisation_sets_the_papers_biases_to_1():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4))
    Normal(std=0.01, ones=["1"])(model, seed=0)
    assert model[0].bias.tolist() == [0, 0]
    assert model[1].bias.tolist() == [1, 1, 1, 1]
    assert model[1].weight.abs().max() < 0.1
    with pytest.raises(UserError, match="no layer fc9 with a bias"):
        Normal(std=0.01, ones=["fc9"])(model, seed=0)
