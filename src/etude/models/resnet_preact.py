"""Pre-activation ResNet: He et al., ECCV 2016, https://arxiv.org/abs/1603.05027, Figures 1 and 4.

Batch norm and ReLU stand before each convolution, so that nothing but additions stands on the way
of the shortcuts. For small images, as in the paper's section 5. Departure, off by default: another
width.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from etude.models.residual import Branch, Layers, Norm, Residual, conv

# Output channels of the 3x3 convolutions of each of the three stages; the second and third halve
# the side. A bottleneck's last 1x1 convolution has four times as many.
CHANNELS = (16, 32, 64)
EXPANSION = 4


class ResNetPreact(nn.Module):
    """The network of 6n+2 layers with basic blocks, or of 9n+2 with bottlenecks.

    Where the channels change, the block's first batch norm and ReLU stand before its shortcut too,
    which is a 1x1 convolution without batch norm.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        depth: Layers with weights: the paper has 110 with basic blocks, 164 and 1001 with
            bottlenecks.
        bottleneck: Blocks of 1x1, 3x3 and 1x1 convolutions, not of two 3x3.
        width: Multiplies the channels, which are rounded.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.

    Raises:
        ValueError: The depth is not 6n+2, or with bottlenecks 9n+2.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        depth: int,
        bottleneck: bool,
        width: float = 1.0,
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        layers = 9 if bottleneck else 6
        blocks, rest = divmod(depth - 2, layers)
        if blocks < 1 or rest:
            raise ValueError(
                f"depth={depth} must be {layers}n+2: {layers + 2}, {2 * layers + 2}, …"
            )
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        channels = [max(1, round(width * count)) for count in CHANNELS]
        outputs = [channels[0], *(count * (EXPANSION if bottleneck else 1) for count in channels)]
        branch = _bottleneck if bottleneck else _basic
        self.stem = conv(in_channels, channels[0], 3)
        self.stage1, self.stage2, self.stage3 = (
            nn.Sequential(OrderedDict(_blocks(blocks, *ends, stride, branch, norm)))
            for ends, stride in zip(pairwise(outputs), (1, 2, 2), strict=True)
        )
        self.norm = norm(outputs[-1])
        self.activation = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(outputs[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        hidden = self.stage1(self.stem(images))  # (N, 16 or 64, 32, 32)
        hidden = self.stage2(hidden)  # (N, 32 or 128, 16, 16)
        hidden = self.stage3(hidden)  # (N, 64 or 256, 8, 8)
        return self.fc(self.pool(self.activation(self.norm(hidden))).flatten(1))


def _blocks(
    blocks: int, in_channels: int, channels: int, stride: int, branch: Branch, norm: Norm
) -> Iterator[tuple[str, nn.Module]]:
    for index in range(blocks):
        ends = (in_channels, channels, stride) if index == 0 else (channels, channels, 1)
        yield f"block{index + 1}", _block(branch(*ends, norm), *ends)


def _block(layers: Layers, in_channels: int, channels: int, stride: int) -> nn.Sequential:
    before, shortcut = OrderedDict[str, nn.Module](), nn.Identity()
    if (in_channels, 1) != (channels, stride):
        before = OrderedDict(layers.popitem(last=False) for _ in range(2))  # norm1 and activation1
        shortcut = conv(in_channels, channels, 1, stride)
    return nn.Sequential(before | {"residual": Residual(nn.Sequential(layers), shortcut)})


def _basic(in_channels: int, channels: int, stride: int, norm: Norm) -> Layers:
    return OrderedDict(
        norm1=norm(in_channels),
        activation1=nn.ReLU(inplace=True),
        conv1=conv(in_channels, channels, 3, stride),
        norm2=norm(channels),
        activation2=nn.ReLU(inplace=True),
        conv2=conv(channels, channels, 3),
    )


def _bottleneck(in_channels: int, channels: int, stride: int, norm: Norm) -> Layers:
    inner = channels // EXPANSION
    return OrderedDict(
        norm1=norm(in_channels),
        activation1=nn.ReLU(inplace=True),
        conv1=conv(in_channels, inner, 1),
        norm2=norm(inner),
        activation2=nn.ReLU(inplace=True),
        conv2=conv(inner, inner, 3, stride),
        norm3=norm(inner),
        activation3=nn.ReLU(inplace=True),
        conv3=conv(inner, channels, 1),
    )
