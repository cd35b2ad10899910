"""ResNet: He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, Table 1.

Departures, off by default: a bottleneck's stride in its 3x3 convolution (torchvision's, which
calls the network so made 1.5), the stem of small images, another width.
"""

import re
from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from etude.models.residual import Layers, Norm, basic_branch, conv, stage

# Table 1: blocks of each stage; from 50 layers on they are bottlenecks.
BLOCKS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BOTTLENECKS = (50, 101, 152)
# Output channels of a stage's 3x3 convolutions; its first block halves the side, but not stage 1's.
CHANNELS = (64, 128, 256, 512)
# A bottleneck's last 1x1 convolution has four times as many.
EXPANSION = 4


class ResNet(nn.Module):
    """ResNet and, without its shortcuts, the plain network beside it in the paper.

    Layers are named by stage, block and index: `stage2.block1.residual.branch.conv2`,
    `stage2.block1.residual.shortcut.conv`; without shortcuts `stage2.block1.plain.conv2`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        depth: Layers with weights, a column of Table 1.
        residual: False leaves the shortcuts out; the paper has plain networks of 18 and 34 layers.
        shortcut: A (zeros for missing channels), B (projections there) or C (projections
            everywhere).
        stride_in_3x3: Halve the side in a bottleneck's 3x3 convolution, as torchvision does, and
            not in its first 1x1.
        small_stem: A 3x3 convolution that keeps the size, instead of 7x7 of stride 2 and a pool.
        width: Multiplies all channels, which are rounded.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.

    Raises:
        ValueError: Table 1 has no such depth.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        depth: int,
        residual: bool = True,
        shortcut: str = "B",
        stride_in_3x3: bool = False,
        small_stem: bool = False,
        width: float = 1.0,
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth={depth} must be one of {', '.join(map(str, BLOCKS))}")
        first, *others = (max(1, round(width * count)) for count in CHANNELS)
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        expansion = EXPANSION if depth in BOTTLENECKS else 1
        branch = partial(_bottleneck_branch, stride_in_3x3=stride_in_3x3)
        layers = partial(
            stage,
            branch if depth in BOTTLENECKS else basic_branch,
            kind=shortcut if residual else None,
            norm=norm,
        )
        ends = [expansion * channels for channels in (first, *others)]
        blocks = BLOCKS[depth]
        self.stem = _stem(in_channels, first, norm, small=small_stem)
        self.stage1 = layers(first, ends[0], 1, blocks=blocks[0])
        self.stage2 = layers(ends[0], ends[1], 2, blocks=blocks[1])
        self.stage3 = layers(ends[1], ends[2], 2, blocks=blocks[2])
        self.stage4 = layers(ends[2], ends[3], 2, blocks=blocks[3])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(ends[3], num_classes)
        self.torchvision_name = f"resnet{depth}"
        self.torchvision_layers = {
            name: _torchvision_layer(name)
            for name, module in self.named_modules()
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)
        }

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        hidden = self.stage1(self.stem(images))  # (N, 64 or 256, H/4, W/4)
        hidden = self.stage3(self.stage2(hidden))  # (N, 256 or 1024, H/16, W/16)
        hidden = self.stage4(hidden)  # (N, 512 or 2048, H/32, W/32)
        return self.fc(self.pool(hidden).flatten(1))


def _stem(in_channels: int, channels: int, norm: Norm, *, small: bool) -> nn.Sequential:
    first = conv(in_channels, channels, 3) if small else conv(in_channels, channels, 7, 2)
    layers = OrderedDict[str, nn.Module](conv=first, norm=norm(channels))
    if not small:
        layers["pool"] = nn.MaxPool2d(3, 2, padding=1)  # before ReLU: the same bits, fewer values
    layers["activation"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def _bottleneck_branch(
    in_channels: int, channels: int, stride: int, norm: Norm, *, stride_in_3x3: bool
) -> Layers:
    """Make 1x1, 3x3 and 1x1 convolutions (Figure 5, right); `channels` are the last one's."""
    inner = channels // EXPANSION
    strides = (1, stride) if stride_in_3x3 else (stride, 1)
    return OrderedDict(
        conv1=conv(in_channels, inner, 1, strides[0]),
        norm1=norm(inner),
        activation1=nn.ReLU(inplace=True),
        conv2=conv(inner, inner, 3, strides[1]),
        norm2=norm(inner),
        activation2=nn.ReLU(inplace=True),
        conv3=conv(inner, channels, 1),
        norm3=norm(channels),
    )


def _torchvision_layer(name: str) -> str:
    """Name torchvision's layer for ours: layer2.0.bn1 for stage2.block1.….norm1."""
    found = re.fullmatch(r"stage(\d)\.block(\d+)\.(?:residual\.)?(\w+)\.(conv|norm)(\d?)", name)
    if found is None:
        return {"stem.conv": "conv1", "stem.norm": "bn1"}.get(name, name)
    stage, block, part, layer, index = found.groups()
    if part == "shortcut":
        own = f"downsample.{0 if layer == 'conv' else 1}"
    else:
        own = f"{'conv' if layer == 'conv' else 'bn'}{index}"
    return f"layer{stage}.{int(block) - 1}.{own}"
