"""Inception-v4: Szegedy et al., AAAI 2017, https://arxiv.org/abs/1602.07261, Figures 3 to 9.

Figure 3 leaves out that the stem's last convolution has stride 2, as its grid shows.

Departures, off by default: a stem of one 3x3 convolution for small images, another width.
"""

from functools import partial

from torch import Tensor, nn

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

# Figure 3: 299 pixels, then grids of 149, 147, 147, 73, 71 and 35.
STEM: Branch = (
    Conv(32, 3, 2, valid=True),
    Conv(32, 3, valid=True),
    Conv(64, 3),
    Fork(((HALVING_POOL,), (Conv(96, 3, 2, valid=True),))),
    Fork(
        (
            (Conv(64), Conv(96, 3, valid=True)),
            (Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, valid=True)),
        )
    ),
    Fork(((Conv(192, 3, 2, valid=True),), (HALVING_POOL,))),
)
STEMS: dict[str, Branch] = {
    "paper": STEM,
    "small": (Conv(384, 3),),  # the departure: (N, 384, H, W)
}

# Figure 4.
A: Branch = (
    Fork(
        (
            (AVERAGE_POOL, Conv(96)),
            (Conv(96),),
            (Conv(64), Conv(96, 3)),
            (Conv(64), Conv(96, 3), Conv(96, 3)),
        )
    ),
)
# Figure 5.
B: Branch = (
    Fork(
        (
            (AVERAGE_POOL, Conv(128)),
            (Conv(384),),
            (Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))),
            (
                Conv(192), Conv(192, (7, 1)), Conv(224, (1, 7)), Conv(224, (7, 1)),
                Conv(256, (1, 7)),
            ),
        )
    ),
)  # fmt: skip
# Figure 6.
_SPREAD = Fork(((Conv(256, (1, 3)),), (Conv(256, (3, 1)),)))
C: Branch = (
    Fork(
        (
            (AVERAGE_POOL, Conv(256)),
            (Conv(256),),
            (Conv(384), _SPREAD),
            (Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)), _SPREAD),
        )
    ),
)


def reduction_a(k: int, l: int, m: int, n: int) -> Branch:  # noqa: E741 (the paper's letters)
    """Give Figure 7 with the filters of Table 1."""
    threes = (Conv(k), Conv(l, 3), Conv(m, 3, 2, valid=True))
    return (Fork(((HALVING_POOL,), (Conv(n, 3, 2, valid=True),), threes)),)


# Figure 8.
REDUCTION_B: Branch = (
    Fork(
        (
            (HALVING_POOL,),
            (Conv(192), Conv(192, 3, 2, valid=True)),
            (Conv(256), Conv(256, (1, 7)), Conv(320, (7, 1)), Conv(320, 3, 2, valid=True)),
        )
    ),
)

# Figure 9.
STAGES: dict[str, Branch] = {
    **{f"a{index}": A for index in range(1, 5)},
    "reduction_a": reduction_a(192, 224, 256, 384),
    **{f"b{index}": B for index in range(1, 8)},
    "reduction_b": REDUCTION_B,
    **{f"c{index}": C for index in range(1, 4)},
}


class InceptionV4(nn.Module):
    """Inception-v4.

    Stages are named by their module: `features.stem`, `features.a1`, `features.reduction_a`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; the paper's is 299.
        dropout: Probability before the last layer; the paper keeps 0.8.
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
        dropout: float = 0.2,
        stem: str = "paper",
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.1,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        stages = {"stem": STEMS[stem], **STAGES}
        grid_sides(stages, input_size)
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        self.features, channels = Maker(norm=norm, width=width).stages(stages, in_channels)
        self.classifier = classifier(channels, num_classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images))  # (N, 1536, 8, 8)
