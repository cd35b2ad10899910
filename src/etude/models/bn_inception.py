"""BN-Inception: Ioffe & Szegedy, ICML 2015, https://arxiv.org/abs/1502.03167, Figure 5.

The text says 13.6 million parameters; its figure's numbers make 11,194,984. Batch norm stands
before every ReLU, its convolutions have no biases.

Departures, off by default: GoogLeNet's dropout and local response normalisation, which section
4.2.1 takes away; another width; a stem of one 3x3 convolution for small images. The figure's first
convolution is separable in its depth; here it is a plain one, as in other implementations.
"""

from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from etude.models.branches import (
    AVERAGE_POOL,
    MAX_POOL,
    Branch,
    Conv,
    Fork,
    Layer,
    Maker,
    classifier,
    grid_sides,
)
from etude.models.lrn import PAPER_LRN, local_response_norm


class Row(NamedTuple):
    """A row of Figure 5 whose module keeps the grid: output channels, and the kind of its pool."""

    one: int
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    pool: Layer
    pool_channels: int


class Halving(NamedTuple):
    """A row whose module halves the grid; its max-pool passes its input's channels on."""

    three_reduce: int
    three: int
    double_reduce: int
    double: int


# Figure 5, its ten inception rows.
ROWS: dict[str, Row | Halving] = {
    "3a": Row(64, 64, 64, 64, 96, AVERAGE_POOL, 32),
    "3b": Row(64, 64, 96, 64, 96, AVERAGE_POOL, 64),
    "3c": Halving(128, 160, 64, 96),
    "4a": Row(224, 64, 96, 96, 128, AVERAGE_POOL, 128),
    "4b": Row(192, 96, 128, 96, 128, AVERAGE_POOL, 128),
    "4c": Row(160, 128, 160, 128, 160, AVERAGE_POOL, 96),
    "4d": Row(96, 128, 192, 160, 192, AVERAGE_POOL, 96),
    "4e": Halving(128, 192, 192, 256),
    "5a": Row(352, 192, 320, 160, 224, AVERAGE_POOL, 128),
    "5b": Row(352, 192, 320, 192, 224, MAX_POOL, 128),
}

HALVE = partial(nn.MaxPool2d, 3, stride=2, padding=1)
# GoogLeNet's; PyTorch divides alpha by the size, AlexNet's paper does not.
NORMALIZE = partial(local_response_norm, PAPER_LRN)

STEMS: dict[str, Branch] = {
    "paper": (Conv(64, 7, 2), HALVE, NORMALIZE, Conv(64), Conv(192, 3), NORMALIZE, HALVE),
    "small": (Conv(192, 3),),  # the departure: (N, 192, H, W)
}


class BNInception(nn.Module):
    """BN-Inception, the paper's network with batch norm.

    Stages are named by their row: `features.stem`, `features.3a`, `features.5b`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; the paper's is 224.
        dropout: Probability before the last layer.
        lrn: Normalise in the stem as GoogLeNet does.
        stem: paper, or small: one 3x3 convolution that keeps the size.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics.
        width: Multiplies the channels of the convolutions.

    Raises:
        ValueError: The images are too small.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        dropout: float = 0.0,
        lrn: bool = False,
        stem: str = "paper",
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        layers = tuple(layer for layer in STEMS[stem] if lrn or layer is not NORMALIZE)
        stages = {"stem": layers, **{name: module(row) for name, row in ROWS.items()}}
        grid_sides(stages, input_size)
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        self.features, channels = Maker(norm=norm, width=width).stages(stages, in_channels)
        self.classifier = classifier(channels, num_classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images))  # (N, 1024, 7, 7)


def module(row: Row | Halving) -> Branch:
    """Give the layers of a row's module, its 5x5 convolution written as two of 3x3."""
    if isinstance(row, Halving):
        three = (Conv(row.three_reduce), Conv(row.three, 3, 2))
        double = (Conv(row.double_reduce), Conv(row.double, 3), Conv(row.double, 3, 2))
        return (Fork((three, double, (HALVE,))),)
    three = (Conv(row.three_reduce), Conv(row.three, 3))
    double = (Conv(row.double_reduce), Conv(row.double, 3), Conv(row.double, 3))
    return (Fork(((Conv(row.one),), three, double, (row.pool, Conv(row.pool_channels)))),)
