"""LeNet-5: LeCun, Bottou, Bengio & Haffner 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf.

Here in the modern form of document 003: max-pooling and ReLU for the paper's trainable
subsampling and scaled tanh, every map of C3 joined to all of S2, a linear output.
"""

from torch import Tensor, nn

# Section II-B: output channels of C1 and C3 (5x5, no padding; a 2x2 pool follows each).
CONVOLUTIONS = (6, 16)
# Units of C5 and F6; on 32x32 images C5 sees 5x5 maps, on 28x28 images 4x4.
HIDDEN = (120, 84)


class LeNet5(nn.Module):
    """LeNet-5 with max-pooling and ReLU.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 16.

    Raises:
        ValueError: The images are too small for two convolutions and pools.
    """

    def __init__(self, in_channels: int, num_classes: int, *, input_size: int) -> None:
        super().__init__()
        side = ((input_size - 4) // 2 - 4) // 2  # two times: 5x5 convolution, then 2x2 pool
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for LeNet-5: at least 16")
        c1, c3 = CONVOLUTIONS
        c5, f6 = HIDDEN
        # Pooling before ReLU gives the same bits, and ReLU a quarter of the work.
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Conv2d(c1, c3, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(c3 * side**2, c5), nn.ReLU(inplace=True),
            nn.Linear(c5, f6), nn.ReLU(inplace=True),
            nn.Linear(f6, num_classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 16, 4, 4) for 28x28
