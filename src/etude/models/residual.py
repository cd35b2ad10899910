"""Residual learning: He, Zhang, Ren & Sun, CVPR 2016, https://arxiv.org/abs/1512.03385, section 3.

What its networks for large and for small images, and those that followed them, are made of.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from torch import Tensor, nn
from torch.nn import functional

Layers = OrderedDict[str, nn.Module]
# Makes a normalisation of so many channels.
Norm = Callable[[int], nn.Module]
# Makes a block's layers from its channels in and out, its stride and a normalisation.
Branch = Callable[[int, int, int, Norm], Layers]

# Section 4.1: A adds zeros where channels are missing, B projects there and is the identity
# elsewhere, C projects everywhere.
SHORTCUTS = ("A", "B", "C")


class Residual(nn.Module):
    """The sum of a branch and its shortcut, which have outputs of one shape."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, hidden: Tensor) -> Tensor:
        """Map features (N, C, H, W) to what the branch makes of them, plus the shortcut's."""
        total = self.branch(hidden)
        total += self.shortcut(hidden)
        return total


class PaddedIdentity(nn.Module):
    """Shortcut A: every `stride`-th pixel, and zeros for the channels that are missing.

    Args:
        missing: Channels to add.
        stride: Of the branch beside it.
    """

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing = missing
        self.stride = stride

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + missing, H / stride, W / stride), sides rounded up."""
        # Slices would give the same, and a gradient in another memory format, to be added pixel by
        # pixel: a tenth of ResNet-20's step on a CPU.
        kept = functional.avg_pool2d(hidden, 1, self.stride)
        return functional.pad(kept, (0, 0, 0, 0, 0, self.missing))


def conv(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Make a convolution that keeps the size but for its stride; norm follows, so it has no bias.

    Args:
        in_channels: Of its input.
        channels: Of its output.
        kernel: Side in pixels, odd.
        stride: In pixels.
    """
    return nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False)


def shortcut(kind: str, in_channels: int, channels: int, stride: int, norm: Norm) -> nn.Module:
    """Make the shortcut of a block.

    Args:
        kind: One of `SHORTCUTS`.
        in_channels: Of the block's input.
        channels: Of its output.
        stride: Of the block.
        norm: For a projection.
    """
    same = stride == 1 and in_channels == channels
    if kind == "C" or (kind == "B" and not same):
        projection = {"conv": conv(in_channels, channels, 1, stride), "norm": norm(channels)}
        return nn.Sequential(OrderedDict(projection))
    return nn.Identity() if same else PaddedIdentity(channels - in_channels, stride)


def block(branch: Layers, beside: nn.Module | None) -> nn.Sequential:
    """Put a branch's layers and its shortcut together; ReLU follows their sum.

    Args:
        branch: Layers by name, in their order.
        beside: The shortcut; None leaves it out, which gives a block of a plain network.
    """
    layers = nn.Sequential(branch)
    body = {"plain": layers} if beside is None else {"residual": Residual(layers, beside)}
    return nn.Sequential(OrderedDict(body | {"activation": nn.ReLU(inplace=True)}))


def stage(
    branch: Branch,
    in_channels: int,
    channels: int,
    stride: int,
    *,
    blocks: int,
    kind: str | None,
    norm: Norm,
) -> nn.Sequential:
    """Put blocks in a row, named `block1` and so on; the first has the stride.

    Args:
        branch: Of every block.
        in_channels: Of the first block's input.
        channels: Of every block's output.
        stride: In pixels.
        blocks: How many.
        kind: Of the shortcuts, one of `SHORTCUTS`; None leaves them out.
        norm: After every convolution.
    """

    def made() -> Iterator[tuple[str, nn.Module]]:
        for index in range(blocks):
            ends = (in_channels, channels, stride) if index == 0 else (channels, channels, 1)
            beside = None if kind is None else shortcut(kind, *ends, norm)
            yield f"block{index + 1}", block(branch(*ends, norm), beside)

    return nn.Sequential(OrderedDict(made()))


def basic_branch(in_channels: int, channels: int, stride: int, norm: Norm) -> Layers:
    """Make two 3x3 convolutions (Figure 5, left), the first of which has the stride."""
    return OrderedDict(
        conv1=conv(in_channels, channels, 3, stride),
        norm1=norm(channels),
        activation1=nn.ReLU(inplace=True),
        conv2=conv(channels, channels, 3),
        norm2=norm(channels),
    )
