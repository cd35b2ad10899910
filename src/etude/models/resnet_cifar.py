"""ResNet for small images: He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, section 4.2.

Departures, off by default: shortcuts with projections (B, C; the section has A alone), another
batch norm, another width.
"""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from etude.models.residual import basic_branch, conv, stage

# The section's table: output channels of the 2n convolutions of each of the three stages, which
# have n blocks of two each; the second and third halve the side.
CHANNELS = (16, 32, 64)


class ResNetSmall(nn.Module):
    """The network of 6n+2 layers with weights: a convolution, three stages of n blocks, a linear.

    Layers are named by stage, block and index: `stage2.block1.residual.branch.conv2`,
    `stage2.block1.residual.shortcut.conv`; without shortcuts `stage2.block1.plain.conv2`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        depth: Layers with weights, 6n+2: the paper has 20, 32, 44, 56, 110 and 1202.
        residual: False leaves the shortcuts out: the paper's plain networks.
        shortcut: A (zeros for missing channels), B (projections there) or C (projections
            everywhere).
        width: Multiplies the channels, which are rounded.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.

    Raises:
        ValueError: The depth is not 6n+2.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        depth: int,
        residual: bool = True,
        shortcut: str = "A",
        width: float = 1.0,
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"depth={depth} must be 6n+2: 8, 14, 20, 26, 32, ...")
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        first, second, third = (max(1, round(width * channels)) for channels in CHANNELS)
        layers = partial(
            stage, basic_branch, blocks=blocks, kind=shortcut if residual else None, norm=norm
        )
        self.stem = nn.Sequential(
            OrderedDict(
                conv=conv(in_channels, first, 3), norm=norm(first), activation=nn.ReLU(inplace=True)
            )
        )
        self.stage1 = layers(first, first, 1)
        self.stage2 = layers(first, second, 2)
        self.stage3 = layers(second, third, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        hidden = self.stage1(self.stem(images))  # (N, 16, 32, 32)
        hidden = self.stage2(hidden)  # (N, 32, 16, 16)
        hidden = self.stage3(hidden)  # (N, 64, 8, 8)
        return self.fc(self.pool(hidden).flatten(1))
