"""AlexNet: Krizhevsky, Sutskever & Hinton, NIPS 2012, https://doi.org/10.1145/3065386.

Here in the small form of document 001, for 28x28 images: five convolutions with pools after the
first, second and fifth and two hidden linear layers with dropout, as in the paper; smaller
kernels, fewer channels, no local response normalisation, no groups.
"""

from torch import Tensor, nn

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
