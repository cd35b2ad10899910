"""ResNet-20: He, Zhang, Ren & Sun, CVPR 2016, https://arxiv.org/abs/1512.03385, section 4.2.

In its smallest form, to be timed: 3 stages of 3 blocks, shortcuts without parameters (option A).
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

# Section 4.2: output channels of the stages; the first keeps 32x32, the others halve it.
STAGES = (16, 32, 64)
BLOCKS = 3


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which drops pixels and pads channels with zeros."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stride = out_channels // in_channels
        self.padding = out_channels - in_channels
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=self.stride, padding=1, bias=False
        )
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        hidden = functional.relu(self.norm1(self.conv1(images)), inplace=True)
        hidden = self.norm2(self.conv2(hidden))
        if self.padding:
            kept = images[:, :, :: self.stride, :: self.stride]
            images = functional.pad(kept, (0, 0, 0, 0, 0, self.padding))
        return functional.relu(hidden + images, inplace=True)


class ResNet20(nn.Module):
    """ResNet-20 for 32x32 images: 269,722 parameters for 10 classes.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        channels = [STAGES[0], *(width for width in STAGES for _ in range(BLOCKS))]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, STAGES[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(STAGES[0]),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(*(Block(before, after) for before, after in pairwise(channels)))
        self.head = nn.Linear(STAGES[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.head(self.blocks(self.stem(images)).mean((2, 3)))  # (N, 64, 8, 8) before it
