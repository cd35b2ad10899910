"""Inception-ResNet: Szegedy et al., AAAI 2017, https://arxiv.org/abs/1602.07261, Figures 10 to 20.

Versions 1 and 2 as the paper has them, and version 2 as its authors released it: another stem,
twice the blocks, 1x1 convolutions before the classifier. The paper prints 1154 and 2048 channels
for version 2; its branches add up to 1152 and 2144.

Departures, off by default: other scales of the residuals, a stem of one 3x3 convolution for small
images, another width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from etude.base.text import counted
from etude.models import inception_v4
from etude.models.branches import (
    AVERAGE_POOL,
    HALVING_POOL,
    Branch,
    Conv,
    Fork,
    Maker,
    classifier,
    grid_sides,
)


class Blocks(NamedTuple):
    """Equal residual blocks in a row: how many, and the branches of each."""

    repeats: int
    branches: tuple[Branch, ...]


class Table(NamedTuple):
    """A network: its stem, three runs of blocks, what halves the grid between, and the end."""

    stem: Branch
    a: Blocks
    reduction_a: Branch
    b: Blocks
    reduction_b: Branch
    c: Blocks
    last_is_linear: bool  # the last block neither scales its residual nor ends with a ReLU
    end: Branch


def reduction_b(wide: int, double: tuple[int, int]) -> Branch:
    """Give Figure 12 or 18: the filters of its second convolution, and of its last two."""
    return (
        Fork(
            (
                (HALVING_POOL,),
                (Conv(256), Conv(384, 3, 2, valid=True)),
                (Conv(256), Conv(wide, 3, 2, valid=True)),
                (Conv(256), Conv(double[0], 3), Conv(double[1], 3, 2, valid=True)),
            )
        ),
    )


# Inception v3's stem: 299 pixels, then grids of 149, 147, 147, 73, 73 and 71.
_TO_71: Branch = (
    Conv(32, 3, 2, valid=True), Conv(32, 3, valid=True), Conv(64, 3), HALVING_POOL, Conv(80),
    Conv(192, 3, valid=True),
)  # fmt: skip
_MIXED_5B = Fork(
    (
        (Conv(96),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (AVERAGE_POOL, Conv(64)),
    )
)
# Version 2's branches, Figures 16, 17 and 19; the release has the same.
_A2: tuple[Branch, ...] = (
    (Conv(32),),
    (Conv(32), Conv(32, 3)),
    (Conv(32), Conv(48, 3), Conv(64, 3)),
)
_B2: tuple[Branch, ...] = ((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))))
_C2: tuple[Branch, ...] = ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))

TABLES: dict[str, Table] = {
    "v1": Table(
        stem=(*_TO_71, Conv(256, 3, 2, valid=True)),
        a=Blocks(5, ((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(32, 3), Conv(32, 3)))),
        reduction_a=inception_v4.reduction_a(192, 192, 256, 384),
        b=Blocks(10, ((Conv(128),), (Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1))))),
        reduction_b=reduction_b(256, (256, 256)),
        c=Blocks(5, ((Conv(192),), (Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1))))),
        last_is_linear=False,
        end=(),
    ),
    "v2": Table(
        stem=inception_v4.STEM,
        a=Blocks(5, _A2),
        reduction_a=inception_v4.reduction_a(256, 256, 384, 384),
        b=Blocks(10, _B2),
        reduction_b=reduction_b(288, (288, 320)),
        c=Blocks(5, _C2),
        last_is_linear=False,
        end=(),
    ),
    "v2_released": Table(
        stem=(*_TO_71, HALVING_POOL, _MIXED_5B),
        a=Blocks(10, _A2),
        reduction_a=inception_v4.reduction_a(256, 256, 384, 384),
        b=Blocks(20, _B2),
        reduction_b=reduction_b(288, (288, 320)),
        c=Blocks(10, _C2),
        last_is_linear=True,
        end=(Conv(1536),),
    ),
}
SMALL_STEMS = {"v1": 256, "v2": 384, "v2_released": 320}  # the departure's channels: those of `a`


class Residual(nn.Module):
    """Add to the input what branches and a 1x1 convolution without activation make of it.

    Args:
        make: Of the branches.
        branches: Side by side; their channels are brought back to the input's.
        channels: Of the input and the output.
        scale: Of what is added; section 3.3 has 0.1 to 0.3.
        activate: End with a ReLU.
    """

    def __init__(
        self,
        make: Maker,
        branches: tuple[Branch, ...],
        channels: int,
        *,
        scale: float,
        activate: bool,
    ) -> None:
        super().__init__()
        self.branches, inner = make.sequence((Fork(branches),), channels)
        self.linear = nn.Conv2d(inner, channels, 1)
        self.activation = nn.ReLU(inplace=True) if activate else nn.Identity()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        residual = self.linear(self.branches(images))
        return self.activation(torch.add(images, residual, alpha=self.scale))


class InceptionResNet(nn.Module):
    """Inception-ResNet in the versions of the paper, or as released.

    Stages are named by their module: `features.stem`, `features.a1`, `features.reduction_a`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        variant: v1, v2 or v2_released.
        input_size: Side of an image in pixels; the paper's is 299.
        residual_scales: Of what the blocks A, B and C add to their input; three numbers.
        dropout: Probability before the last layer; the paper keeps 0.8.
        stem: paper, or small: one 3x3 convolution that keeps the size.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics.
        width: Multiplies the channels of the convolutions.

    Raises:
        ValueError: The images are too small, or there are not three scales.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        variant: str,
        input_size: int,
        residual_scales: Sequence[float] = (0.17, 0.1, 0.2),
        dropout: float = 0.2,
        stem: str = "paper",
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.1,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if (given := len(residual_scales)) != 3:
            raise ValueError(
                f"residual_scales has {counted(given, 'number')}; it must have 3, for A, B and C"
            )
        table = TABLES[variant]
        if stem == "small":
            table = table._replace(stem=(Conv(SMALL_STEMS[variant], 3),))
        grid_sides({"stem": table.stem, "a": table.reduction_a, "b": table.reduction_b}, input_size)
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        make = Maker(norm=norm, width=width)
        self.features, channels = _features(make, table, in_channels, residual_scales)
        self.classifier = classifier(channels, num_classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images))  # v2: (N, 2144, 8, 8)


def _features(
    make: Maker, table: Table, in_channels: int, scales: Sequence[float]
) -> tuple[nn.Sequential, int]:
    """Make all stages; give them with their output channels."""
    modules: dict[str, nn.Module] = {}
    modules["stem"], channels = make.sequence(table.stem, in_channels)
    runs = zip("abc", (table.a, table.b, table.c), scales, strict=True)
    reductions = {"b": ("reduction_a", table.reduction_a), "c": ("reduction_b", table.reduction_b)}
    for letter, blocks, scale in runs:
        if letter in reductions:
            name, layers = reductions[letter]
            modules[name], channels = make.sequence(layers, channels)
        for index in range(1, blocks.repeats + 1):
            linear = table.last_is_linear and letter == "c" and index == blocks.repeats
            modules[f"{letter}{index}"] = Residual(
                make, blocks.branches, channels, scale=1.0 if linear else scale, activate=not linear
            )
    if table.end:
        modules["end"], channels = make.sequence(table.end, channels)
    return nn.Sequential(OrderedDict(modules)), channels
