"""LeNet-5: LeCun, Bottou, Bengio & Haffner 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf.

As in section II-B: trainable subsampling, C3's partial table, scaled tanh, and an output of
distances to drawings of the digits, with the loss of section II-C. Departure: the paper shows its
drawings in a picture only (Figure 3); those in `GLYPHS` are Étude's own.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

# Section II-B: maps of C1 and C3, units of C5 and F6, which has one for each pixel of a drawing.
C1, C3, C5, F6 = 6, 16, 120, 84
SIDE = 32  # of an image in pixels, so that C5 sees all of S4's 5x5

# Table I: the maps of S2 that each map of C3 sees, in runs of three, of four and of all six.
C3_TABLE: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    (
        (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
        (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    ),
    ((0, 1, 2, 3, 4, 5),),
)  # fmt: skip

# The digits 0 to 9, each 7 pixels wide and 12 high: # is +1, . is -1.
GLYPHS = """
    ....... ....... ....... ....... ....... ....... ....... ....... ....... .......
    ..###.. ...##.. .#####. ####### ....##. ####### ..####. ####### .#####. .#####.
    .##.##. ..###.. ##...## .....## ...###. ##..... .##.... .....## ##...## ##...##
    ##...## .####.. .....## ....##. ..####. ##..... ##..... .....## ##...## ##...##
    ##...## ...##.. .....## ...##.. .##.##. ##..... ##..... ....##. ##...## ##...##
    ##...## ...##.. ....##. ..####. ##..##. ######. ######. ....##. .#####. ##...##
    ##...## ...##.. ...##.. .....## ##..##. .....## ##...## ...##.. ##...## .######
    ##...## ...##.. ..##... .....## ####### .....## ##...## ...##.. ##...## .....##
    ##...## ...##.. .##.... .....## ....##. .....## ##...## ..##... ##...## .....##
    .##.##. ...##.. ##..... ##...## ....##. ##...## ##...## ..##... ##...## ....##.
    ..###.. .###### ####### .#####. ....##. .#####. .#####. ..##... .#####. .####..
    ....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


class ScaledTanh(nn.Module):
    """1.7159·tanh(2x/3): appendix A, which has f(1) = 1 and f(-1) = -1."""

    def forward(self, sums: Tensor) -> Tensor:
        """Squash sums of any shape to ±1.7159."""
        return 1.7159 * torch.tanh(sums * (2 / 3))


class Subsampling(nn.Module):
    """The sum of every 2x2 pixels, times a coefficient of its map, plus a bias.

    Args:
        channels: Maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw coefficients from U(±2.4 / 4), for four inputs; biases are 0."""
        nn.init.uniform_(self.weight, -0.6, 0.6)
        nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / 2, W / 2)."""
        return functional.avg_pool2d(hidden, 2, divisor_override=1) * self.weight + self.bias


class PartialConvolution(nn.Module):
    """C3: 5x5 convolutions of some of the maps each, by Table I.

    Each run of the table is one grouped convolution, a group for every map of its output: so the
    connections that there are not have no weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runs = nn.ModuleList(
            nn.Conv2d(sum(map(len, run)), len(run), 5, groups=len(run)) for run in C3_TABLE
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (N, 6, 14, 14) to (N, 16, 10, 10)."""
        maps = hidden.split(1, dim=1)
        outputs: list[Tensor] = []
        for conv, run in zip(self.runs, C3_TABLE, strict=True):
            outputs.append(conv(torch.cat([maps[index] for seen in run for index in seen], 1)))
        return torch.cat(outputs, 1)


class LeNet5Of1998(nn.Module):
    """LeNet-5 as published.

    Args:
        in_channels: Channels of an image; the paper has one.
        num_classes: Digits to tell apart, from 0 on; at most 10.
        input_size: Side of an image in pixels; 32.
        rejection: j of equation 9: the distance of a class that stands for what is no digit. Other
            classes are not pushed away any further once they are farther than that.

    Raises:
        ValueError: There are more than 10 classes, or the images have another side than 32.
    """

    glyphs: Tensor

    def __init__(
        self, in_channels: int, num_classes: int, *, input_size: int, rejection: float = 0.1
    ) -> None:
        super().__init__()
        if input_size != SIDE:
            raise ValueError(
                f"input_size={input_size} must be {SIDE}: dataset.input_size={SIDE}, and "
                "dataset.interpolation=pad for images of 28 pixels"
            )
        if num_classes > 10:
            raise ValueError(f"num_classes={num_classes}: there are drawings of 10 digits only")
        self.rejection = rejection
        self.layers = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(in_channels, C1, 5), squash1=ScaledTanh(),  # (N, 6, 28, 28)
                s2=Subsampling(C1), squash2=ScaledTanh(),  # (N, 6, 14, 14)
                c3=PartialConvolution(), squash3=ScaledTanh(),  # (N, 16, 10, 10)
                s4=Subsampling(C3), squash4=ScaledTanh(),  # (N, 16, 5, 5)
                c5=nn.Conv2d(C3, C5, 5), squash5=ScaledTanh(),  # (N, 120, 1, 1)
                flat=nn.Flatten(),
                f6=nn.Linear(C5, F6), squash6=ScaledTanh(),  # (N, 84)
            )
        )  # fmt: skip
        self.register_buffer("glyphs", glyphs()[:num_classes], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, 32, 32) to minus the squared distances to the glyphs (N, num_classes).

        So the nearest has the largest, as with logits.
        """
        drawn = self.layers(images).float()
        return -(drawn[:, None] - self.glyphs).square().sum(2)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Compute equation 9 for each image: y_label + log(e^-j + Σ e^-y_i), y the distances.

        That is cross-entropy over the classes and one more whose distance is always j.

        Args:
            outputs: What `forward` gave, (N, num_classes).
            labels: (N,).

        Returns:
            (N,).
        """
        with_rejection = functional.pad(outputs, (0, 1), value=-self.rejection)
        return functional.cross_entropy(with_rejection, labels, reduction="none")


def glyphs() -> Tensor:
    """Give the drawings as ±1, row by row: (10, 84)."""
    lines = [line.split() for line in GLYPHS.split("\n") if line.strip()]
    digits = ["".join(rows) for rows in zip(*lines, strict=True)]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in digits])
