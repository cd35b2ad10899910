"""AlexNet: Krizhevsky, Sutskever & Hinton, NIPS 2012, https://doi.org/10.1145/3065386, section 3.

Departures, off by default: one group instead of the two GPUs' groups, a padded first convolution,
local response normalisation after the pool and dropout before the hidden linear layers (both
document 003's order). `AlexNetSmall` is the small form of document 001, for 28x28 images: smaller
kernels, fewer channels, no local response normalisation, no groups.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn

from etude.models.lrn import LRN, PAPER_LRN, local_response_norm


class Convolution(NamedTuple):
    """A convolution of section 3.5, and what follows it."""

    channels: int
    kernel: int
    stride: int
    padding: int
    groups: int  # two where it sees only the maps of its own GPU
    normalized: bool
    pooled: bool  # 3x3, stride 2: section 3.4


# Section 3.5 and Figure 2; the paddings follow from the sides in the figure.
PAPER = (
    Convolution(96, 11, 4, 0, 1, normalized=True, pooled=True),
    Convolution(256, 5, 1, 2, 2, normalized=True, pooled=True),
    Convolution(384, 3, 1, 1, 1, normalized=False, pooled=False),
    Convolution(384, 3, 1, 1, 2, normalized=False, pooled=False),
    Convolution(256, 3, 1, 1, 2, normalized=False, pooled=True),
)
PAPER_HIDDEN = 4096

# Document 001: output channels and kernel of each convolution (padding keeps the size), and the
# (kernel, stride) of the pool that follows it.
CONVOLUTIONS: tuple[tuple[int, int, tuple[int, int] | None], ...] = (
    (32, 3, (2, 2)),
    (64, 5, (2, 2)),
    (128, 3, None),
    (256, 3, None),
    (256, 3, (3, 2)),
)
HIDDEN = (1024, 512)


class AlexNet(nn.Module):
    """AlexNet as published.

    Layers are named by stage: `features.stage2.conv`, `classifier.fc1`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 67. The paper says 224, its sides need 227.
        groups: False lets every convolution see all maps of the one before.
        padding: Pixels around the image; 2 bring images of 224 pixels to the paper's 55x55.
        norm: Where local response normalisation stands in the first two stages: before_pool,
            after_pool, or none.
        dropout: Probability to drop a unit.
        dropout_first: Before the two hidden linear layers, not after them.
        lrn: What local response normalisation computes with.

    Raises:
        ValueError: The images are too small for the pools.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        groups: bool = True,
        padding: int = 0,
        norm: str = "before_pool",
        dropout: float = 0.5,
        dropout_first: bool = False,
        lrn: LRN = PAPER_LRN,
    ) -> None:
        super().__init__()
        rows = (PAPER[0]._replace(padding=padding), *PAPER[1:])
        rows = rows if groups else tuple(row._replace(groups=1) for row in rows)
        side = input_size
        features = OrderedDict[str, nn.Module]()
        for index, row in enumerate(rows, start=1):
            features[f"stage{index}"] = _stage(in_channels, row, norm, lrn)
            in_channels, side = row.channels, _side(side, row)
        if side < 1:
            least = 67 - 2 * padding
            raise ValueError(f"input_size={input_size} is too small for AlexNet: at least {least}")
        self.features = nn.Sequential(features)
        self.classifier = _classifier(
            in_channels * side**2, num_classes, dropout, dropout_first=dropout_first
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 256, 6, 6) for 227x227


def _side(side: int, row: Convolution) -> int:
    side = (side + 2 * row.padding - row.kernel) // row.stride + 1
    return (side - 3) // 2 + 1 if row.pooled else side


def _stage(in_channels: int, row: Convolution, norm: str, lrn: LRN) -> nn.Sequential:
    sizes = (row.channels, row.kernel, row.stride, row.padding)
    layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(in_channels, *sizes, groups=row.groups))
    activation, pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)
    if not row.normalized or norm == "none":
        # ReLU after the pool: the same bits, fewer values.
        layers |= {"pool": pool} if row.pooled else {}
        layers |= {"activation": activation}
    elif norm == "before_pool":
        layers |= {"activation": activation, "norm": local_response_norm(lrn), "pool": pool}
    else:
        layers |= {"pool": pool, "activation": activation, "norm": local_response_norm(lrn)}
    return nn.Sequential(layers)


def _classifier(
    inputs: int, num_classes: int, dropout: float, *, dropout_first: bool
) -> nn.Sequential:
    layers = OrderedDict[str, nn.Module]()
    for index in (1, 2):
        drop = {f"dropout{index}": nn.Dropout(dropout)}
        linear = nn.Linear(inputs, PAPER_HIDDEN)
        hidden = {f"fc{index}": linear, f"activation{index}": nn.ReLU(inplace=True)}
        layers |= drop | hidden if dropout_first else hidden | drop
        inputs = PAPER_HIDDEN
    return nn.Sequential(layers | {"fc3": nn.Linear(inputs, num_classes)})


class AlexNetSmall(nn.Module):
    """The AlexNet of document 001.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 12.
        dropout: Probability to drop a unit after each hidden linear layer.

    Raises:
        ValueError: The images are too small for the three pools.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, input_size: int, dropout: float = 0.5
    ) -> None:
        super().__init__()
        side = (input_size // 4 - 3) // 2 + 1  # two 2x2 pools, then a 3x3 pool of stride 2
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for this AlexNet: at least 12")
        layers: list[nn.Module] = []
        channels = in_channels
        for out_channels, kernel, pool in CONVOLUTIONS:
            layers.append(nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2))
            if pool is not None:
                layers.append(nn.MaxPool2d(*pool))  # before ReLU: the same bits, fewer values
            layers.append(nn.ReLU(inplace=True))
            channels = out_channels
        self.features = nn.Sequential(*layers)
        fc1, fc2 = HIDDEN
        self.classifier = nn.Sequential(
            nn.Linear(channels * side**2, fc1), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(fc1, fc2), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(fc2, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 256, 3, 3) for 28x28
