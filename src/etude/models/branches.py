"""Tables of convolutions side by side, as the Inception papers draw them, and their modules.

A table is data: a branch is a tuple of layers, a `Fork` runs branches side by side and puts their
channels behind one another. The number of input channels is never written down; it follows.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


class Conv(NamedTuple):
    """A convolution, its normalisation where the network has one, and a ReLU.

    Attributes:
        channels: Of the output.
        kernel: Its side, or (height, width).
        stride: In both directions.
        valid: Without zeros around; else there are as many as keep the size at stride 1.
    """

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    valid: bool = False


class Fork(NamedTuple):
    """Branches side by side, whose channels are put behind one another."""

    branches: "tuple[Branch, ...]"


# What is neither convolution nor fork keeps the channels: a pool, a normalisation.
Layer = Conv | Fork | Callable[[], nn.Module]
Branch = tuple[Layer, ...]

# The pools of the papers are all 3x3.
MAX_POOL = partial(nn.MaxPool2d, 3, stride=1, padding=1)
HALVING_POOL = partial(nn.MaxPool2d, 3, stride=2)  # without zeros around
AVERAGE_POOL = partial(nn.AvgPool2d, 3, stride=1, padding=1, count_include_pad=False)


class Parallel(nn.ModuleList):
    """Run branches side by side."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to the branches' outputs (N, ΣCᵢ, H', W')."""
        return torch.cat([branch(images) for branch in self], 1)


@dataclass(frozen=True)
class Maker:
    """Make the modules that tables stand for.

    Args:
        norm: Normalises the output of every convolution, which then has no bias; None leaves it
            out, and the biases in.
        width: Multiplies the channels of all convolutions, which are rounded.
    """

    norm: Norm | None
    width: float

    def channels(self, count: int) -> int:
        """Give the channels, at least one, that a table's number becomes at this width."""
        return max(1, round(self.width * count))

    def stages(self, stages: Mapping[str, Branch], in_channels: int) -> tuple[nn.Sequential, int]:
        """Make stages that follow one another, by name; give them with their output channels."""
        modules: dict[str, nn.Module] = {}
        for name, layers in stages.items():
            modules[name], in_channels = self.sequence(layers, in_channels)
        return nn.Sequential(OrderedDict(modules)), in_channels

    def sequence(self, layers: Branch, in_channels: int) -> tuple[nn.Sequential, int]:
        """Make a branch's layers; give them with their output channels."""
        modules: list[nn.Module] = []
        for layer in layers:
            module, in_channels = self._layer(layer, in_channels)
            modules.append(module)
        return nn.Sequential(*modules), in_channels

    def _layer(self, layer: Layer, in_channels: int) -> tuple[nn.Module, int]:
        if isinstance(layer, Conv):
            return self._convolution(layer, in_channels), self.channels(layer.channels)
        if isinstance(layer, Fork):
            made = [self.sequence(branch, in_channels) for branch in layer.branches]
            return Parallel(branch for branch, _ in made), sum(count for _, count in made)
        return layer(), in_channels

    def _convolution(self, conv: Conv, in_channels: int) -> nn.Sequential:
        kernel = conv.kernel if isinstance(conv.kernel, tuple) else (conv.kernel, conv.kernel)
        channels = self.channels(conv.channels)
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(
                in_channels,
                channels,
                kernel,
                conv.stride,
                padding=(0, 0) if conv.valid else (kernel[0] // 2, kernel[1] // 2),
                bias=self.norm is None,
            )
        }
        if self.norm is not None:
            layers["norm"] = self.norm(channels)
        layers["activation"] = nn.ReLU(inplace=True)
        return nn.Sequential(OrderedDict(layers))


def grid_sides(
    stages: Mapping[str, Branch], input_size: int, *, least: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Find the sides of the grids of feature maps, by trying: on the meta device it costs nothing.

    Args:
        stages: All of a network's, in their order.
        input_size: Side of an image in pixels.
        least: What the grid after a stage must measure at least, for a head that begins there.

    Returns:
        The side of the grid after each stage.

    Raises:
        ValueError: The images are too small; it says which size is enough.
    """
    with torch.device("meta"):
        modules, _ = Maker(norm=None, width=0.0).stages(stages, 1)
    found = _sides(modules, input_size, least or {})
    if found is None:
        larger = itertools.count(input_size + 1)
        enough = next(side for side in larger if _sides(modules, side, least or {}) is not None)
        raise ValueError(
            f"input_size={input_size} is too small for this network: at least {enough}"
        )
    return found


def _sides(modules: nn.Sequential, side: int, least: Mapping[str, int]) -> dict[str, int] | None:
    """Give the side after every stage; None where one comes out too small."""
    found: dict[str, int] = {}
    images = torch.empty(1, 1, side, side, device="meta")
    for name, stage in modules.named_children():
        try:
            images = stage(images)
        except RuntimeError:
            return None
        found[name] = images.shape[-1]
        if found[name] < least.get(name, 1):
            return None
    return found


def classifier(in_channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Average each channel over the image, drop some, and map them to logits.

    Args:
        in_channels: Of the feature maps (N, C, H, W).
        num_classes: Classes to tell apart.
        dropout: Probability to drop a channel's average.
    """
    layers = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dropout": nn.Dropout(dropout),
        "fc": nn.Linear(in_channels, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
