"""The ResNets of Keras's example `cifar10_resnet`, which document 003 begins with.

Version 1 is after He et al., https://arxiv.org/abs/1512.03385, version 2 after He et al.,
https://arxiv.org/abs/1603.05027, for small images. Neither is the paper's: convolutions have biases
and Keras's padding, shortcuts are projections without batch norm; version 2 is wider, projects what
is not activated, and halves the side in the first 1x1. Departure, off by default: another width.
"""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

from etude.models.residual import Layers, Norm, Residual, block

# Of each stage, the channels of its input (in version 2 of its inner convolutions too) and its
# output; the second and third halve the side.
STAGES = {1: ((16, 16), (16, 32), (32, 64)), 2: ((16, 64), (64, 128), (128, 256))}
# Convolutions of a block of each stage, together.
LAYERS = {1: 6, 2: 9}


class ResNetKeras(nn.Module):
    """Keras's ResNet of 6n+2 layers with weights (version 1) or of 9n+2 (version 2).

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels.
        version: 1, activations after the convolutions, or 2, before them.
        depth: Layers with weights; the projections are not counted.
        width: Multiplies the channels, which are rounded.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.

    Raises:
        ValueError: The depth is not 6n+2, or in version 2 not 9n+2.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        version: int,
        depth: int,
        width: float = 1.0,
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        layers = LAYERS[version]
        blocks, rest = divmod(depth - 2, layers)
        if blocks < 1 or rest:
            raise ValueError(
                f"depth={depth} must be {layers}n+2: {layers + 2}, {2 * layers + 2}, …"
            )
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        ends = [[max(1, round(width * count)) for count in pair] for pair in STAGES[version]]
        first, last = ends[0][0], ends[2][1]
        sizes = (input_size, input_size, -(-input_size // 2))
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(in_channels, first, 3, padding=1),
                norm=norm(first),
                activation=nn.ReLU(inplace=True),
            )
        )
        self.stage1, self.stage2, self.stage3 = (
            _stage_1(blocks, norm, inputs, outputs, stride, size)
            if version == 1
            else _stage_2(blocks, norm, inputs, outputs, stride)
            for (inputs, outputs), stride, size in zip(ends, (1, 2, 2), sizes, strict=True)
        )
        after = (norm(last), nn.ReLU(inplace=True)) if version == 2 else ()
        self.pool = nn.Sequential(*after, nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(last, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        hidden = self.stage1(self.stem(images))  # (N, 16 or 64, 32, 32)
        hidden = self.stage2(hidden)  # (N, 32 or 128, 16, 16)
        hidden = self.stage3(hidden)  # (N, 64 or 256, 8, 8)
        return self.fc(self.pool(hidden).flatten(1))


def _stage_1(
    blocks: int, norm: Norm, in_channels: int, channels: int, stride: int, size: int
) -> nn.Sequential:
    stage = OrderedDict[str, nn.Module]()
    for index in range(1, blocks + 1):
        branch = OrderedDict[str, nn.Module](
            conv1=_conv3x3(in_channels, channels, stride, size),
            norm1=norm(channels),
            activation1=nn.ReLU(inplace=True),
            conv2=_conv3x3(channels, channels, 1, size),
            norm2=norm(channels),
        )
        same = stride == 1  # the first stage keeps the channels too
        shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, stride)
        stage[f"block{index}"] = block(branch, shortcut)
        in_channels, stride = channels, 1
    return nn.Sequential(stage)


def _conv3x3(in_channels: int, channels: int, stride: int, size: int) -> nn.Module:
    """Pad as Keras's `same` does: with a stride of 2 an even side at the bottom and right alone."""
    if stride == 1 or size % 2:
        return nn.Conv2d(in_channels, channels, 3, stride, padding=1)
    conv = nn.Conv2d(in_channels, channels, 3, stride)
    return nn.Sequential(OrderedDict(pad=nn.ZeroPad2d((0, 1, 0, 1)), conv=conv))


def _stage_2(
    blocks: int, norm: Norm, in_channels: int, channels: int, stride: int
) -> nn.Sequential:
    stage = OrderedDict[str, nn.Module]()
    inner = in_channels
    for index in range(1, blocks + 1):
        branch: Layers = OrderedDict(
            norm1=norm(in_channels),
            activation1=nn.ReLU(inplace=True),
            conv1=nn.Conv2d(in_channels, inner, 1, stride),
            norm2=norm(inner),
            activation2=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(inner, inner, 3, padding=1),
            norm3=norm(inner),
            activation3=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(inner, channels, 1),
        )
        if index == 1 and stride == 1:  # the network's first block: the stem has ended in ReLU
            del branch["norm1"], branch["activation1"]
        shortcut = nn.Conv2d(in_channels, channels, 1, stride) if index == 1 else nn.Identity()
        stage[f"block{index}"] = Residual(nn.Sequential(branch), shortcut)
        in_channels, stride = channels, 1
    return nn.Sequential(stage)
