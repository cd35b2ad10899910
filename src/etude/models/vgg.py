"""VGG: Simonyan & Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556, Table 1.

Departures, off by default: dropout after the pools (document 000), another width of the two
hidden linear layers.
"""

from collections.abc import Sequence

from torch import Tensor, nn

# Table 1: output channels of the convolutions, stage by stage; a 2x2 max-pool ends each stage.
# Kernels are 3x3 with padding 1, but for the last of C's stages 3-5, which are 1x1.
STAGES: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "C": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "E": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


def _stage(variant: str, in_channels: int, widths: tuple[int, ...], dropout: float) -> nn.Module:
    layers: list[nn.Module] = []
    for index, width in enumerate(widths):
        kernel = 1 if variant == "C" and index == 2 else 3
        layers.append(nn.Conv2d(in_channels, width, kernel, padding=kernel // 2))
        if index == len(widths) - 1:
            layers.append(nn.MaxPool2d(2))  # before ReLU: the same bits, a quarter of the values
        layers.append(nn.ReLU(inplace=True))
        in_channels = width
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """VGG in the configurations A to E of the paper.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        variant: A column of Table 1.
        input_size: Side of an image in pixels; at least 32.
        hidden: Units of each of the two hidden linear layers.
        stage_dropout: Dropout probability after each of the five pools.
        dropout: Dropout probability after each hidden linear layer.

    Raises:
        ValueError: The images are too small for five pools, or `stage_dropout` is not five long.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        variant: str,
        input_size: int,
        hidden: int = 4096,
        stage_dropout: Sequence[float] = (0.0,) * 5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        stages = STAGES[variant]
        side = input_size // 2 ** len(stages)
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for VGG: at least 32")
        if len(stage_dropout) != len(stages):
            raise ValueError(f"stage_dropout={list(stage_dropout)} must have {len(stages)} numbers")
        inputs = (in_channels, *(widths[-1] for widths in stages[:-1]))
        self.features = nn.Sequential(
            *(_stage(variant, *stage) for stage in zip(inputs, stages, stage_dropout, strict=True))
        )
        self.classifier = nn.Sequential(
            nn.Linear(stages[-1][-1] * side**2, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 512, H/32, W/32)
