"""VGG: Simonyan & Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556, Table 1.

Departures, off by default: batch norm and other activations (document 004), dropout after the
pools (document 000), another width of the convolutions or of the two hidden linear layers.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from etude.base.text import counted
from etude.models.lrn import LRN, PAPER_LRN, local_response_norm

# Table 1: the kernels of each stage's convolutions, which keep the size; a 2x2 max-pool ends each
# stage. A-LRN normalises after the first.
STAGES: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "A-LRN": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
# Output channels of every convolution of a stage.
CHANNELS = (64, 128, 256, 512, 512)

# The network of torchvision that has a column's layers, but for C's 1x1 kernels.
TORCHVISION = {
    "A": "vgg11",
    "A-LRN": "vgg11",
    "B": "vgg13",
    "C": "vgg16",
    "D": "vgg16",
    "E": "vgg19",
}

Norm = Callable[[int], nn.Module]
Activation = Callable[[], nn.Module]

ACTIVATIONS: dict[str, Activation] = {
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def torchvision_layers(variant: str) -> dict[str, str]:
    """Name torchvision's layer for each of ours: matched by stage and index, whatever its shape."""
    names: dict[str, str] = {}
    index = 0  # in its `features`, where activations and pools are counted too
    for stage, kernels in enumerate(STAGES[variant], start=1):
        for convolution in range(1, len(kernels) + 1):
            names[f"features.stage{stage}.conv{convolution}"] = f"features.{index}"
            index += 2
        index += 1
    classifier = {"fc1": "classifier.0", "fc2": "classifier.3", "fc3": "classifier.6"}
    return names | {f"classifier.{ours}": theirs for ours, theirs in classifier.items()}


def _features(
    stages: Sequence[Sequence[int]],
    channels: Sequence[int],
    *,
    norm: Norm | None,
    activation: Activation,
    lrn: LRN | None,
    dropout: Sequence[float],
) -> nn.Sequential:
    features: dict[str, nn.Module] = {}
    for index, (kernels, ends) in enumerate(zip(stages, pairwise(channels), strict=True)):
        layers = _convolutions(*ends, kernels, norm=norm, activation=activation)
        name, last = layers.popitem()
        if lrn is not None and index == 0:
            layers |= {name: last, "lrn": local_response_norm(lrn), "pool": nn.MaxPool2d(2)}
        else:
            # Activations are monotone: the same values, for ReLU to the bit, from fewer of them.
            layers |= {"pool": nn.MaxPool2d(2), name: last}
        if dropout[index]:
            layers["dropout"] = nn.Dropout(dropout[index])
        features[f"stage{index + 1}"] = nn.Sequential(OrderedDict(layers))
    return nn.Sequential(OrderedDict(features))


def _convolutions(
    in_channels: int,
    channels: int,
    kernels: Sequence[int],
    *,
    norm: Norm | None,
    activation: Activation,
) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    for index, kernel in enumerate(kernels, start=1):
        inputs = in_channels if index == 1 else channels
        layers[f"conv{index}"] = nn.Conv2d(inputs, channels, kernel, padding=kernel // 2)
        if norm is not None:
            layers[f"norm{index}"] = norm(channels)
        layers[f"activation{index}"] = activation()
    return layers


def _classifier(
    sizes: Sequence[int],
    *,
    norm: Norm | None,
    head_norm: Norm | None,
    activation: Activation,
    dropout: float,
) -> nn.Sequential:
    layers: dict[str, nn.Module] = {}
    for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        hidden = index < len(sizes) - 1
        layers[f"fc{index}"] = nn.Linear(inputs, outputs)
        if (normalize := norm if hidden else head_norm) is not None:
            layers[f"norm{index}"] = normalize(outputs)
        if hidden:
            layers[f"activation{index}"] = activation()
            layers[f"dropout{index}"] = nn.Dropout(dropout)
    return nn.Sequential(OrderedDict(layers))


class VGG(nn.Module):
    """VGG in the configurations A to E of the paper.

    Layers are named by stage and index: `features.stage3.conv2`, `features.stage3.norm2`,
    `classifier.fc1`, `classifier.norm1`.

    Args:
        in_channels: Channels of an image.
        num_classes: Classes to tell apart.
        variant: A column of Table 1.
        input_size: Side of an image in pixels; at least 32.
        batch_norm: Normalise after every convolution and hidden linear layer.
        bn_eps: What batch norm adds to the variance.
        bn_momentum: The newest batch's share in the running statistics: 1 - Keras's momentum.
        head_batch_norm: Normalise the logits too.
        dropout: Dropout probability after each hidden linear layer.
        stage_dropout: Dropout probability after each of the five pools.
        activation: relu, tanh or sigmoid.
        width: Multiplies the channels of the convolutions, which are rounded.
        hidden: Units of each of the two hidden linear layers.
        lrn: What A-LRN normalises with; section 2.2 of the paper refers to AlexNet's.

    Raises:
        ValueError: The images are too small for five pools, or `stage_dropout` is not five long.
    """

    def __init__(  # noqa: PLR0913 (every switch of the documents)
        self,
        in_channels: int,
        num_classes: int,
        *,
        variant: str,
        input_size: int,
        batch_norm: bool = False,
        bn_eps: float = 1e-5,
        bn_momentum: float = 0.1,
        head_batch_norm: bool = False,
        dropout: float = 0.5,
        stage_dropout: Sequence[float] = (0.0,) * 5,
        activation: str = "relu",
        width: float = 1.0,
        hidden: int = 4096,
        lrn: LRN = PAPER_LRN,
    ) -> None:
        super().__init__()
        side = input_size // 2 ** len(CHANNELS)
        if side < 1:
            raise ValueError(f"input_size={input_size} is too small for VGG: at least 32")
        if (given := len(stage_dropout)) != len(CHANNELS):
            raise ValueError(
                f"stage_dropout has {counted(given, 'number')}; it must have {len(CHANNELS)}"
            )
        self.torchvision_name = TORCHVISION[variant]
        self.torchvision_layers = torchvision_layers(variant)
        channels = [in_channels, *(max(1, round(width * count)) for count in CHANNELS)]
        norm_2d = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        norm_1d = partial(nn.BatchNorm1d, eps=bn_eps, momentum=bn_momentum)
        self.features = _features(
            STAGES[variant],
            channels,
            norm=norm_2d if batch_norm else None,
            activation=ACTIVATIONS[activation],
            lrn=lrn if variant == "A-LRN" else None,
            dropout=stage_dropout,
        )
        self.classifier = _classifier(
            [channels[-1] * side**2, hidden, hidden, num_classes],
            norm=norm_1d if batch_norm else None,
            head_norm=norm_1d if head_batch_norm else None,
            activation=ACTIVATIONS[activation],
            dropout=dropout,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        return self.classifier(self.features(images).flatten(1))  # (N, 512, H/32, W/32)
