"""A four-layer network to compare activations with: Krizhevsky et al., NIPS 2012, Figure 1.

https://doi.org/10.1145/3065386. Neither the paper nor document 003 says what the four layers are;
these are three convolutions and a linear layer of the size that was usual for 32x32 images.
Departures, off by default: activations other than ReLU, another width.
"""

from collections import OrderedDict

from torch import Tensor, nn

# Output channels of the three convolutions of 5x5, which keep the size; a 3x3 pool of stride 2
# follows each.
CHANNELS = (32, 32, 64)

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


class CNN4(nn.Module):
    """Three convolutions with pools, and a linear layer.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 8.
        activation: relu, tanh or sigmoid.
        width: Multiplies the channels, which are rounded.

    Raises:
        ValueError: The images are too small for the pools.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        activation: str = "relu",
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if input_size < 8:
            raise ValueError(f"input_size={input_size} is too small for this network: at least 8")
        self.features = nn.Sequential()
        channels, side = in_channels, input_size
        for index, count in enumerate((max(1, round(width * c)) for c in CHANNELS), start=1):
            layers = OrderedDict[str, nn.Module](
                conv=nn.Conv2d(channels, count, 5, padding=2),
                # Activations are monotone: pooled before them, the same values from fewer of them.
                pool=nn.MaxPool2d(3, 2, ceil_mode=True),
                activation=ACTIVATIONS[activation](),
            )
            self.features.add_module(f"stage{index}", nn.Sequential(layers))
            channels, side = count, -(-(side - 3) // 2) + 1
        self.fc = nn.Linear(channels * side**2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.fc(self.features(images).flatten(1))  # (N, 64, 4, 4) for 32x32
