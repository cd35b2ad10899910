"""GoogLeNet: Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842, Table 1 and section 5.

The pools round up, so that images of 224 pixels give grids of 112, 56, 28, 14 and 7. The paper
gives local response normalisation no constants; they are AlexNet's.

Departures, off by default: no local response normalisation, no auxiliary heads, another width, and
a stem of one 3x3 convolution for small images.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from etude.models.auxiliary import Outputs
from etude.models.branches import MAX_POOL, Branch, Conv, Fork, Maker, classifier, grid_sides
from etude.models.lrn import PAPER_LRN, local_response_norm


class Row(NamedTuple):
    """A row of Table 1: output channels of a module's convolutions, the reductions included."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


# Table 1, its nine inception rows. The auxiliary heads are at the outputs of 4a and 4d.
ROWS = {
    "3a": Row(64, 96, 128, 16, 32, 32),
    "3b": Row(128, 128, 192, 32, 96, 64),
    "4a": Row(192, 96, 208, 16, 48, 64),
    "4b": Row(160, 112, 224, 24, 64, 64),
    "4c": Row(128, 128, 256, 24, 64, 64),
    "4d": Row(112, 144, 288, 32, 64, 64),
    "4e": Row(256, 160, 320, 32, 128, 128),
    "5a": Row(256, 160, 320, 32, 128, 128),
    "5b": Row(384, 192, 384, 48, 128, 128),
}
PARTS = (("3a", "3b", "4a"), ("4b", "4c", "4d"), ("4e", "5a", "5b"))
POOLED = 5  # side of the auxiliary heads' average pool, whose stride is 3

HALVE = partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True)
HALVED_BEFORE = ("4a", "5a")
# PyTorch divides alpha by the size, AlexNet's paper does not.
NORMALIZE = partial(local_response_norm, PAPER_LRN)

STEMS: dict[str, Branch] = {
    "paper": (Conv(64, 7, 2), HALVE, NORMALIZE, Conv(64), Conv(192, 3), NORMALIZE, HALVE),
    "small": (Conv(192, 3),),  # the departure: (N, 192, H, W)
}


class GoogLeNet(nn.Module):
    """GoogLeNet with its two auxiliary heads.

    Modules are named by stage: `early.stem`, `early.3b`, `middle.4d`, `late.5a`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; the paper's is 224.
        auxiliary_weight: Of each auxiliary loss; 0 leaves the heads out.
        dropout: Probability before the last layer.
        auxiliary_dropout: Probability before the last layer of an auxiliary head.
        lrn: Normalise in the stem.
        stem: paper, or small: one 3x3 convolution that keeps the size.
        width: Multiplies the channels of the convolutions, and the units of the auxiliary heads.

    Raises:
        ValueError: The images are too small.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        auxiliary_weight: float = 0.3,
        dropout: float = 0.4,
        auxiliary_dropout: float = 0.7,
        lrn: bool = True,
        stem: str = "paper",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.auxiliary_weight = auxiliary_weight
        early, middle, late = ({name: module(name) for name in names} for names in PARTS)
        early = {"stem": tuple(x for x in STEMS[stem] if lrn or x is not NORMALIZE), **early}
        least = {"4a": POOLED, "4d": POOLED} if auxiliary_weight else None
        sides = grid_sides({**early, **middle, **late}, input_size, least=least)
        make = Maker(norm=None, width=width)
        self.early, first = make.stages(early, in_channels)
        self.middle, second = make.stages(middle, first)
        self.late, last = make.stages(late, second)
        self.classifier = classifier(last, num_classes, dropout)
        self.auxiliaries = nn.ModuleDict()
        if auxiliary_weight:
            head = partial(auxiliary_head, make, num_classes, dropout=auxiliary_dropout)
            self.auxiliaries["auxiliary1"] = head(first, sides["4a"])
            self.auxiliaries["auxiliary2"] = head(second, sides["4d"])

    def forward(self, images: Tensor) -> Tensor | Outputs:
        """Map images (N, C, H, W) to logits (N, num_classes), while training also the heads'."""
        first = self.early(images)  # (N, 512, 14, 14)
        second = self.middle(first)  # (N, 528, 14, 14)
        logits = self.classifier(self.late(second))  # (N, 1024, 7, 7)
        if not (self.training and self.auxiliaries):
            return logits
        heads = zip(self.auxiliaries.items(), (first, second), strict=True)
        return Outputs(logits, {name: head(x) for (name, head), x in heads}, self.auxiliary_weight)


def module(name: str) -> Branch:
    """Give the layers of an inception module, with the pool in front of it where there is one."""
    row = ROWS[name]
    fork = Fork(
        (
            (Conv(row.one),),
            (Conv(row.three_reduce), Conv(row.three, 3)),
            (Conv(row.five_reduce), Conv(row.five, 5)),
            (MAX_POOL, Conv(row.pool)),
        )
    )
    return (HALVE, fork) if name in HALVED_BEFORE else (fork,)


def auxiliary_head(
    make: Maker, num_classes: int, in_channels: int, side: int, *, dropout: float
) -> nn.Sequential:
    """Make an auxiliary head, as section 5 lists its layers, for a grid of this side."""
    reduce, channels = make.sequence((Conv(128),), in_channels)
    pooled = (side - POOLED) // 3 + 1
    hidden = make.channels(1024)
    layers = {
        "pool": nn.AvgPool2d(POOLED, 3),
        "reduce": reduce,
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(channels * pooled**2, hidden),
        "activation": nn.ReLU(inplace=True),
        "dropout": nn.Dropout(dropout),
        "fc2": nn.Linear(hidden, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
