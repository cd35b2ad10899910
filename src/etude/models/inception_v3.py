"""Inception v3: Szegedy et al., CVPR 2016, https://arxiv.org/abs/1512.00567, sections 3 to 6.

The paper leaves out how many filters its branches have; they are those of the network that its
authors released, which torchvision has too. Its Table 1 differs from that in the stem's end.

Departures, off by default: what the paper compares it with (Table 3's 7x7 convolution for the
stem's first three and auxiliary head without batch norm, section 9's stems for images of 151 and 79
pixels, section 3's other factorisations of the large kernels), no auxiliary head, a stem of one 3x3
convolution for small images, another width, and average pools that leave out the zeros around, as
TensorFlow's do. On grids below 17x17 the head's 5x5 kernel is as small as what it is given.
"""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from etude.models.auxiliary import Outputs
from etude.models.branches import (
    AVERAGE_POOL,
    HALVING_POOL,
    Branch,
    Conv,
    Fork,
    Layer,
    Maker,
    classifier,
    grid_sides,
)

# The released stem: 299 pixels, then grids of 149, 147, 147, 73, 73, 71 and 35.
_TOP: Branch = (Conv(32, 3, valid=True), Conv(64, 3))
_BOTTOM: Branch = (Conv(80), Conv(192, 3, valid=True), HALVING_POOL)
STEMS: dict[str, Branch] = {
    "released": (Conv(32, 3, 2, valid=True), *_TOP, HALVING_POOL, *_BOTTOM),
    # Table 3, before "factorized 7x7".
    "seven": (Conv(64, 7, 2, valid=True), HALVING_POOL, *_BOTTOM),
    # Section 9, for images of 151 and of 79 pixels: grids of 35 and 36.
    "stride_1": (Conv(32, 3, valid=True), *_TOP, HALVING_POOL, *_BOTTOM),
    "stride_1_no_pool": (Conv(32, 3, valid=True), *_TOP, *_BOTTOM),
    # The departure for small images, which it leaves at their size.
    "small": (Conv(192, 3),),
}
# Figures 5 and 6: how the large kernels are written; the release keeps 5x5 in the mixed_5 modules.
FACTORIZATIONS = {
    "released": ("square", "asymmetric"),
    "square": ("square", "square"),
    "stacked": ("stacked", "stacked"),
    "asymmetric": ("asymmetric", "asymmetric"),
}
POOL_CHANNELS = {"b": 32, "c": 64, "d": 64}  # mixed_5b to mixed_5d, the 35x35 grid
SEVEN_CHANNELS = {"b": 128, "c": 160, "d": 160, "e": 192}  # mixed_6b to mixed_6e, 17x17
POOLED = 5  # side of the auxiliary head's average pool, whose stride is 3


def large(side: int, inner: int, channels: int, form: str, *, tall: bool = False) -> Branch:
    """Write a convolution with a large kernel in one of the forms that section 3 compares.

    Args:
        side: Of the kernel, in pixels.
        inner: Channels between the parts.
        channels: Of the output.
        form: square, stacked (3x3 convolutions that together see as far) or asymmetric.
        tall: Put the nx1 of the asymmetric form before the 1xn.
    """
    if form == "square":
        return (Conv(channels, side),)
    if form == "stacked":
        return (*(Conv(inner, 3) for _ in range(side // 2 - 1)), Conv(channels, 3))
    wide, high = (1, side), (side, 1)
    first, second = (high, wide) if tall else (wide, high)
    return (Conv(inner, first), Conv(channels, second))


def mixed_5(pool_channels: int, form: str, average: Layer) -> Branch:
    """Give a module of the 35x35 grid."""
    five = (Conv(48), *large(5, 48, 64, form))
    threes = (Conv(64), Conv(96, 3), Conv(96, 3))
    return (Fork(((Conv(64),), five, threes, (average, Conv(pool_channels)))),)


def mixed_6(channels: int, form: str, average: Layer) -> Branch:
    """Give a module of the 17x17 grid."""
    seven = (Conv(channels), *large(7, channels, 192, form))
    sevens = (
        Conv(channels),
        *large(7, channels, channels, form, tall=True),
        *large(7, channels, 192, form, tall=True),
    )
    return (Fork(((Conv(192),), seven, sevens, (average, Conv(192)))),)


def mixed_7(average: Layer) -> Branch:
    """Give a module of the 8x8 grid, Figure 7."""
    spread = Fork(((Conv(384, (1, 3)),), (Conv(384, (3, 1)),)))
    threes = (Conv(448), Conv(384, 3), spread)
    return (Fork(((Conv(320),), (Conv(384), spread), threes, (average, Conv(192)))),)


# Figure 10: what halves the grids.
_THREES = (Conv(64), Conv(96, 3), Conv(96, 3, 2, valid=True))
MIXED_6A: Branch = (Fork(((Conv(384, 3, 2, valid=True),), _THREES, (HALVING_POOL,))),)
_SEVEN = (Conv(192), Conv(192, (1, 7)), Conv(192, (7, 1)), Conv(192, 3, 2, valid=True))
MIXED_7A: Branch = (Fork(((Conv(192), Conv(320, 3, 2, valid=True)), _SEVEN, (HALVING_POOL,))),)

_INSIDE = (("conv", "conv"), ("norm", "bn"))
# torchvision's names of a stage's convolutions, in our order.
_NAMES_5 = "branch1x1 branch5x5_1 branch5x5_2 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"
_NAMES_6 = (
    "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 "
    "branch7x7dbl_4 branch7x7dbl_5"
)
_NAMES_7 = (
    "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b branch3x3dbl_1 branch3x3dbl_2 "
    "branch3x3dbl_3a branch3x3dbl_3b"
)
TORCHVISION: dict[str, tuple[str, str]] = {
    "early.stem": ("", "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3"),
    **{f"early.mixed_5{x}": (f"Mixed_5{x}.", f"{_NAMES_5} branch_pool") for x in POOL_CHANNELS},
    "early.mixed_6a": ("Mixed_6a.", "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"),
    **{f"early.mixed_6{x}": (f"Mixed_6{x}.", f"{_NAMES_6} branch_pool") for x in SEVEN_CHANNELS},
    "auxiliary": ("AuxLogits.", "conv0 conv1"),
    "late.mixed_7a": (
        "Mixed_7a.",
        "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4",
    ),
    **{f"late.mixed_7{x}": (f"Mixed_7{x}.", f"{_NAMES_7} branch_pool") for x in "bc"},
}


class InceptionV3(nn.Module):
    """Inception v3 with its auxiliary head.

    Stages are named as torchvision's: `early.stem`, `early.mixed_6e`, `late.mixed_7c`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; the paper's is 299.
        stem: released, seven, stride_1, stride_1_no_pool or small.
        factorization: Of the 5x5 and 7x7 kernels: released, or all square, stacked or asymmetric.
        auxiliary_weight: Of the auxiliary loss; 0 leaves the head out.
        auxiliary_batch_norm: Normalise in the auxiliary head too.
        dropout: Probability before the last layer.
        count_padding: Count the zeros around in average pools, as torchvision does.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics.
        width: Multiplies the channels of the convolutions.

    Raises:
        ValueError: The images are too small.
    """

    torchvision_name = "inception_v3"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        stem: str = "released",
        factorization: str = "released",
        auxiliary_weight: float = 0.4,
        auxiliary_batch_norm: bool = True,
        dropout: float = 0.5,
        count_padding: bool = True,
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.1,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        self.auxiliary_weight = auxiliary_weight
        average = partial(AVERAGE_POOL, count_include_pad=count_padding)
        early, late = _stages(stem, factorization, average)
        least = {"mixed_6e": POOLED} if auxiliary_weight else None
        sides = grid_sides({**early, **late}, input_size, least=least)
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        make = Maker(norm=norm, width=width)
        self.early, channels = make.stages(early, in_channels)
        self.auxiliary = None
        if auxiliary_weight:
            own = make if auxiliary_batch_norm else Maker(norm=None, width=width)
            self.auxiliary = auxiliary_head(own, num_classes, channels, sides["mixed_6e"])
        self.late, channels = make.stages(late, channels)
        self.classifier = classifier(channels, num_classes, dropout)
        self.torchvision_layers = torchvision_layers(self)

    def forward(self, images: Tensor) -> Tensor | Outputs:
        """Map images (N, C, H, W) to logits (N, num_classes), while training also the head's."""
        middle = self.early(images)  # (N, 768, 17, 17)
        logits = self.classifier(self.late(middle))  # (N, 2048, 8, 8)
        if self.auxiliary is None or not self.training:
            return logits
        return Outputs(logits, {"auxiliary": self.auxiliary(middle)}, self.auxiliary_weight)


def _stages(
    stem: str, factorization: str, average: Layer
) -> tuple[dict[str, Branch], dict[str, Branch]]:
    """Give the tables of the stages up to the auxiliary head, and of those after it."""
    five, seven = FACTORIZATIONS[factorization]
    fives = {f"mixed_5{x}": mixed_5(n, five, average) for x, n in POOL_CHANNELS.items()}
    sevens = {f"mixed_6{x}": mixed_6(n, seven, average) for x, n in SEVEN_CHANNELS.items()}
    early = {"stem": STEMS[stem], **fives, "mixed_6a": MIXED_6A, **sevens}
    late = {"mixed_7a": MIXED_7A, "mixed_7b": mixed_7(average), "mixed_7c": mixed_7(average)}
    return early, late


def auxiliary_head(make: Maker, num_classes: int, in_channels: int, side: int) -> nn.Sequential:
    """Make the auxiliary head of Figure 8, for a grid of this side."""
    kernel = min(5, (side - POOLED) // 3 + 1)
    layers = (Conv(128), Conv(768, kernel, valid=True))
    convolutions, channels = make.sequence(layers, in_channels)
    head = {
        "pool": nn.AvgPool2d(POOLED, 3),
        "convolutions": convolutions,
        "classifier": classifier(channels, num_classes, dropout=0.0),
    }
    return nn.Sequential(OrderedDict(head))


def torchvision_layers(model: nn.Module) -> dict[str, str]:
    """Name torchvision's layer for each of ours, by its place among a stage's convolutions."""
    found = {"classifier.fc": "fc"}
    for name, module in model.named_modules():
        prefix, theirs = TORCHVISION.get(name, ("", ""))
        convolutions = [
            f"{name}.{inner.removesuffix('.conv')}"
            for inner, layer in module.named_modules()
            if isinstance(layer, nn.Conv2d)
        ]
        for ours, there in zip(convolutions, theirs.split(), strict=False):
            found |= {f"{ours}.{x}": f"{prefix}{there}.{y}" for x, y in _INSIDE}
        if name == "auxiliary":
            found["auxiliary.classifier.fc"] = "AuxLogits.fc"
    return found
