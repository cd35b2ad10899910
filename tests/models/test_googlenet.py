"""GoogLeNet against the paper's and Caffe's numbers, and torchvision's where they are the same."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.googlenet import GoogLeNet as Torchvisions
from torchvision.models.googlenet import Inception, InceptionAux

from etude.models.auxiliary import Outputs
from etude.models.googlenet import GoogLeNet

# Table 1, and the parameters of its modules with biases.
MODULES = {
    "early.3a": ((256, 28, 28), 163_696),
    "early.3b": ((480, 28, 28), 388_736),
    "early.4a": ((512, 14, 14), 376_176),
    "middle.4b": ((512, 14, 14), 449_160),
    "middle.4c": ((512, 14, 14), 510_104),
    "middle.4d": ((528, 14, 14), 605_376),
    "late.4e": ((832, 14, 14), 868_352),
    "late.5a": ((832, 7, 7), 1_043_456),
    "late.5b": ((1024, 7, 7), 1_444_080),
}


def meta(**settings: Any) -> GoogLeNet:
    with torch.device("meta"):  # shapes only: no memory, no time
        return GoogLeNet(3, 1000, **{"input_size": 224, **settings})


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_googlenet_has_the_published_number_of_parameters():
    assert count(meta(auxiliary_weight=0)) == 6_998_552
    model = meta()
    assert count(model) == 13_378_280
    assert [count(head) for head in model.auxiliaries.values()] == [3_188_840, 3_190_888]
    assert {name: count(model.get_submodule(name)) for name in MODULES} == {
        name: parameters for name, (_, parameters) in MODULES.items()
    }


def test_the_grids_are_those_of_table_1():
    model, images = meta(), torch.empty(1, 3, 224, 224, device="meta")
    sides = []
    for layer in (stem := model.early.stem):
        images = layer(images)
        sides.append(tuple(images.shape[1:]))
    assert sides[0] == (64, 112, 112)
    assert sides[1] == (64, 56, 56)
    assert sides[-1] == (192, 28, 28)
    assert [type(layer).__name__ for layer in stem] == [
        "Sequential", "MaxPool2d", "LocalResponseNorm", "Sequential", "Sequential",
        "LocalResponseNorm", "MaxPool2d",
    ]  # fmt: skip
    for name, (shape, _) in MODULES.items():
        images = model.get_submodule(name)(images)
        assert tuple(images.shape[1:]) == shape


def test_the_heads_speak_while_training_only():
    model = GoogLeNet(1, 10, input_size=16, stem="small", width=0.05)
    images = torch.randn(2, 1, 16, 16)
    output = model(images)
    assert isinstance(output, Outputs)
    assert list(output.auxiliaries) == ["auxiliary1", "auxiliary2"]
    assert {head.shape for head in (output.logits, *output.auxiliaries.values())} == {(2, 10)}
    assert output.weight == 0.3
    assert model.eval()(images).shape == (2, 10)
    without = GoogLeNet(1, 10, input_size=16, stem="small", width=0.05, auxiliary_weight=0)
    assert without(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("settings", "smallest"),
    [
        ({"auxiliary_weight": 0}, 31),
        ({}, 79),
        ({"auxiliary_weight": 0, "stem": "small"}, 4),
        ({"stem": "small"}, 10),
    ],
)
def test_googlenet_says_from_which_size_on_it_works(settings: dict[str, Any], smallest: int):
    model = meta(**settings, input_size=smallest)
    model(torch.empty(2, 3, smallest, smallest, device="meta"))
    for small in (1, smallest - 1):
        with pytest.raises(ValueError, match=f"at least {smallest}$"):
            meta(**settings, input_size=small)


def test_a_head_is_that_of_section_5():
    model = GoogLeNet(3, 7, input_size=224, auxiliary_dropout=0.0)
    head = model.auxiliaries["auxiliary1"]
    hidden = torch.randn(2, 512, 14, 14)
    expected = functional.avg_pool2d(hidden, 5, 3)
    assert expected.shape == (2, 512, 4, 4)
    expected = torch.relu(head.reduce[0].conv(expected)).flatten(1)
    expected = head.fc2(torch.relu(head.fc1(expected)))
    assert torch.equal(head(hidden), expected)


class Convolution(nn.Module):
    """torchvision's BasicConv2d as the paper has it: a bias, no batch norm."""

    def __init__(self, in_channels: int, out_channels: int, **settings: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, **settings)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.conv(images))


def theirs(block: Callable[..., nn.Module]) -> nn.Module:
    parts = [block, partial(Inception, conv_block=block), InceptionAux]
    model = Torchvisions(1000, aux_logits=False, init_weights=False, blocks=parts)
    model.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)  # theirs is 2x2
    return model.eval()


def widened(weight: Tensor, shape: torch.Size) -> Tensor:
    """A 3x3 kernel as the 5x5 one that does the same: torchvision has 3x3 for the paper's 5x5."""
    margin = (shape[-1] - weight.shape[-1]) // 2 if weight.ndim == 4 else 0
    return functional.pad(weight, (margin,) * 4) if margin else weight


def test_it_gives_what_torchvision_gives_with_the_same_weights_but_for_what_differs():
    torch.manual_seed(0)
    published = theirs(Convolution)
    ours = GoogLeNet(3, 1000, input_size=224, lrn=False, auxiliary_weight=0).eval()
    names, values = ours.state_dict(), published.state_dict().values()
    weights = {
        name: widened(value, names[name].shape) for name, value in zip(names, values, strict=True)
    }
    assert sum(names[n].shape[-2:] == (5, 5) for n in names) == 9
    ours.load_state_dict(weights)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), published(images), rtol=1e-5, atol=1e-6)


def test_local_response_normalisation_has_alexnets_constants():
    model = GoogLeNet(3, 10, input_size=31, auxiliary_weight=0, width=0.05)
    normalize = model.early.stem[2]
    hidden = 100 * torch.rand(1, 8, 3, 3)
    squares = functional.pad(hidden.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    torch.testing.assert_close(normalize(hidden), hidden / (2 + 1e-4 * squares) ** 0.75)
