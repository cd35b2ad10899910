"""The small network of document 003, section Inception, that tells two classes apart.

After Chollet, Deep Learning with Python, 2017, section 5.2.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

# Output channels of the 3x3 convolutions without padding; a 2x2 pool follows each.
CHANNELS = (32, 64, 128, 128)
HIDDEN = 512


class BinaryCNN(nn.Module):
    """Four convolutions with pools, a hidden linear layer, and one output.

    The document's sigmoid of its one output z with binary cross-entropy is the softmax of two
    logits, 0 and z, with cross-entropy: the same losses, gradients and decisions. So these are what
    `forward` gives.

    Args:
        in_channels: Channels of an image.
        num_classes: 2.
        input_size: Side of an image in pixels; at least 46.
        dropout: Probability to drop a value before the hidden linear layer.

    Raises:
        ValueError: There are not two classes, or the images are too small for the pools.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, input_size: int, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if num_classes != 2:
            raise ValueError(f"num_classes={num_classes} must be 2: the network has one output")
        self.features = nn.Sequential()
        channels, side = in_channels, input_size
        for index, count in enumerate(CHANNELS, start=1):
            layers = OrderedDict[str, nn.Module](
                conv=nn.Conv2d(channels, count, 3),
                pool=nn.MaxPool2d(2),  # before ReLU: the same bits, fewer values
                activation=nn.ReLU(inplace=True),
            )
            self.features.add_module(f"stage{index}", nn.Sequential(layers))
            channels, side = count, (side - 2) // 2
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for this network: at least 46")
        self.classifier = nn.Sequential(
            OrderedDict(
                dropout=nn.Dropout(dropout),
                fc1=nn.Linear(channels * side**2, HIDDEN),
                activation=nn.ReLU(inplace=True),
                fc2=nn.Linear(HIDDEN, 1),
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, 2), the first of them 0."""
        hidden = self.features(images).flatten(1)  # (N, 128, 7, 7) for 150x150
        return functional.pad(self.classifier(hidden), (1, 0))
