"""ResNet-50 with its weights kept and a new end, as document 003 transfers it (two networks).

The first averages the features and has one linear layer. The second enlarges the images eightfold,
trains the batch norms along, and has a hidden layer. The features are torchvision's, whose 3x3
convolutions have the strides that Keras's first 1x1 convolutions have.
"""

from collections import OrderedDict
from typing import Self

from torch import Tensor, nn
from torchvision.models import resnet50

FEATURES = 2048


class ResNet50Transfer(nn.Module):
    """ResNet-50's features, frozen, and a classifier.

    Args:
        in_channels: Channels of an image; must be 3.
        num_classes: Classes to tell apart.
        upsample: Whole number that the images' sides are multiplied by, to the nearest pixel.
        train_batch_norm: Train the features' batch norms; else they stay in evaluation mode.
        hidden: Units of a hidden layer with ReLU, dropout and batch norm; None for no such layer.
        dropout: Probability to drop a hidden unit.

    Raises:
        ValueError: The images have not three channels.
    """

    torchvision_name = "resnet50"

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        upsample: int = 1,
        train_batch_norm: bool = False,
        hidden: int | None = None,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if in_channels != 3:
            raise ValueError(f"in_channels={in_channels}: ResNet-50's weights are for 3 channels")
        self.train_batch_norm = train_batch_norm
        self.upsample = nn.Upsample(scale_factor=upsample) if upsample > 1 else nn.Identity()
        layers = OrderedDict(resnet50().named_children())
        del layers["fc"]
        self.features = nn.Sequential(layers)
        self.classifier = _classifier(num_classes, hidden, dropout)
        self.torchvision_layers = {
            f"features.{name}": name
            for name, module in self.features.named_modules()
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
        }
        for module in self.features.modules():
            trained = train_batch_norm and isinstance(module, nn.BatchNorm2d)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(trained)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 (as nn.Module has it)
        """Set the mode; frozen batch norms go on by their running statistics."""
        super().train(mode)
        self.features.train(mode and self.train_batch_norm)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes)."""
        features = self.features(self.upsample(images)).flatten(1)  # (N, 2048)
        return self.classifier(features)


def _classifier(num_classes: int, hidden: int | None, dropout: float) -> nn.Sequential:
    if hidden is None:
        return nn.Sequential(OrderedDict(fc=nn.Linear(FEATURES, num_classes)))
    layers = {
        "fc1": nn.Linear(FEATURES, hidden),
        "activation": nn.ReLU(inplace=True),
        "dropout": nn.Dropout(dropout),
        "norm": nn.BatchNorm1d(hidden, eps=1e-3, momentum=0.01),  # Keras's
        "fc2": nn.Linear(hidden, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
