"""The AlexNet with batch norm of document 003, section AlexNet, as its Keras code has it.

After Krizhevsky et al., NIPS 2012, but another network: no padding, a second kernel of 11x11, pools
of 2x2, a third hidden linear layer; batch norm comes last, after ReLU, pool and dropout.
"""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn

# Output channels, kernel and stride of each convolution, and whether a 2x2 pool follows.
CONVOLUTIONS = (
    (96, 11, 4, True),
    (256, 11, 1, True),
    (384, 3, 1, False),
    (384, 3, 1, False),
    (256, 3, 1, True),
)
HIDDEN = (4096, 4096, 1000)


class AlexNetBatchNorm(nn.Module):
    """Document 003's AlexNet with batch norm.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 215.
        dropout: Probability to drop a unit after each hidden linear layer.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.

    Raises:
        ValueError: The images are too small for the convolutions and pools.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        dropout: float = 0.4,
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        norm_2d = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        norm_1d = partial(nn.BatchNorm1d, eps=bn_eps, momentum=bn_momentum)
        self.features = nn.Sequential()
        channels, side = in_channels, input_size
        for index, (count, kernel, stride, pooled) in enumerate(CONVOLUTIONS, start=1):
            layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(channels, count, kernel, stride))
            if pooled:
                layers["pool"] = nn.MaxPool2d(2)  # before ReLU: the same bits, fewer values
            layers |= {"activation": nn.ReLU(inplace=True), "norm": norm_2d(count)}
            self.features.add_module(f"stage{index}", nn.Sequential(layers))
            channels, side = count, ((side - kernel) // stride + 1) // (2 if pooled else 1)
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for this AlexNet: at least 215")
        self.classifier = nn.Sequential()
        units = channels * side**2
        for index, count in enumerate(HIDDEN, start=1):
            self.classifier.add_module(f"fc{index}", nn.Linear(units, count))
            self.classifier.add_module(f"activation{index}", nn.ReLU(inplace=True))
            self.classifier.add_module(f"dropout{index}", nn.Dropout(dropout))
            self.classifier.add_module(f"norm{index}", norm_1d(count))
            units = count
        self.classifier.add_module("fc4", nn.Linear(units, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 256, 1, 1) for 224x224
