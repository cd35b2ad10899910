"""VGG-16's features with their weights kept and a new end, as documents 002 and 003 transfer it.

Document 002 ends in a hidden layer and one sigmoid, document 003 in one softmax layer over the
flattened features.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from etude.models.vgg import CHANNELS, VGG, torchvision_layers

VARIANT = "D"


class VGG16Transfer(nn.Module):
    """VGG-16's convolutions, frozen, and a classifier.

    Args:
        in_channels: Channels of an image; must be 3.
        num_classes: Classes to tell apart.
        input_size: Side of an image in pixels; at least 32.
        hidden: Units of a hidden layer with ReLU and dropout; None for no such layer.
        dropout: Probability to drop a hidden unit.
        one_output: End in a single output z for two classes, given as the logits 0 and z: their
            softmax with cross-entropy is z's sigmoid with binary cross-entropy.

    Raises:
        ValueError: The images have not three channels or are too small, or `one_output` is asked
            for other than two classes.
    """

    torchvision_name = "vgg16"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        input_size: int,
        hidden: int | None = None,
        dropout: float = 0.5,
        one_output: bool = False,
    ) -> None:
        super().__init__()
        if in_channels != 3:
            raise ValueError(f"in_channels={in_channels}: VGG-16's weights are for 3 channels")
        if one_output and num_classes != 2:
            raise ValueError(f"num_classes={num_classes} must be 2 for one_output=True")
        whole = VGG(in_channels, 1, variant=VARIANT, input_size=input_size, hidden=1)
        self.features = whole.features.requires_grad_(requires_grad=False)
        names = torchvision_layers(VARIANT).items()
        self.torchvision_layers = {ours: name for ours, name in names if ours.startswith("feat")}
        self.one_output = one_output
        inputs = CHANNELS[-1] * (input_size // 2 ** len(CHANNELS)) ** 2  # 25,088 of 224 pixels
        self.classifier = _classifier(inputs, hidden, 1 if one_output else num_classes, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes)."""
        features = self.features(images).flatten(1)  # (N, 512·H/32·W/32)
        logits = self.classifier(features)
        return functional.pad(logits, (1, 0)) if self.one_output else logits


def _classifier(inputs: int, hidden: int | None, outputs: int, dropout: float) -> nn.Sequential:
    if hidden is None:
        return nn.Sequential(OrderedDict(fc=nn.Linear(inputs, outputs)))
    layers = {
        "fc1": nn.Linear(inputs, hidden),
        "activation": nn.ReLU(inplace=True),
        "dropout": nn.Dropout(dropout),
        "fc2": nn.Linear(hidden, outputs),
    }
    return nn.Sequential(OrderedDict(layers))
