"""The rows' networks, augmentations and optimizers in Keras."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from keras import layers, ops, optimizers, regularizers

Layers = list[Any]
# VGG's table 1, columns A and E: channels of each 3x3 convolution; a 2x2 pool ends each stage.
VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG19 = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)

AUGMENTS: dict[str, Layers] = {
    "": [],
    "shift": [layers.RandomTranslation(0.125, 0.125, fill_mode="constant")],
    "shift_flip": [
        layers.RandomTranslation(0.125, 0.125, fill_mode="constant"),
        layers.RandomFlip("horizontal"),
    ],
    "crop_flip_erase": [
        layers.ZeroPadding2D(4),
        layers.RandomCrop(32, 32),
        layers.RandomFlip("horizontal"),
        layers.RandomErasing(0.5, value_range=(0, 1), fill_value=0),
    ],
}


def lenet() -> Layers:
    return [
        layers.Conv2D(6, 5, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"),
        layers.Dense(10),
    ]


def alexnet() -> Layers:
    """Give the small AlexNet of document 001."""
    same = partial(layers.Conv2D, padding="same", activation="relu")
    return [
        *(same(32, 5), layers.MaxPooling2D()),
        *(same(64, 3), layers.MaxPooling2D()),
        *(same(128, 3), same(256, 3), same(256, 3), layers.MaxPooling2D(3, 2)),
        layers.Flatten(),
        *(layers.Dense(1024, activation="relu"), layers.Dropout(0.5)),
        *(layers.Dense(512, activation="relu"), layers.Dropout(0.5)),
        layers.Dense(10),
    ]


def vgg11() -> Layers:
    """Give the VGG-11 of document 000, with dropout after the later pools."""
    hidden: Layers = []
    for index, channels in enumerate(VGG11):
        hidden += [layers.Conv2D(c, 3, padding="same", activation="relu") for c in channels]
        hidden += [layers.MaxPooling2D(), *([layers.Dropout(0.2)] if index >= 2 else [])]
    for _ in range(2):
        hidden += [layers.Dense(4096, activation="relu"), layers.Dropout(0.2)]
    hidden.insert(-4, layers.Flatten())
    return [*hidden, layers.Dense(10)]


def vgg19() -> Layers:
    """Give the VGG-19 of document 004, with batch norm everywhere and l2 on kernels."""
    decayed: Any = {"kernel_regularizer": regularizers.l2(1e-4)}
    normalized = [layers.BatchNormalization, partial(layers.Activation, "relu")]
    hidden: Layers = []
    for channels in VGG19:
        for count in channels:
            hidden.append(layers.Conv2D(count, 3, padding="same", **decayed))
            hidden += [make() for make in normalized]
        hidden.append(layers.MaxPooling2D())
    hidden.append(layers.Flatten())
    for _ in range(2):
        hidden += [layers.Dense(4096, **decayed), *(make() for make in normalized)]
        hidden.append(layers.Dropout(0.5))
    return [*hidden, layers.Dense(10, **decayed), layers.BatchNormalization()]


class Block(layers.Layer):
    """ResNet-20's block; the shortcut drops pixels and pads channels with zeros."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.stride, self.padding = after // before, after - before
        convolution = partial(layers.Conv2D, after, 3, padding="same", use_bias=False)
        self.first, self.second = convolution(strides=self.stride), convolution()
        self.norms = [layers.BatchNormalization(), layers.BatchNormalization()]
        self.relu = layers.ReLU()

    def call(self, images: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002 (Keras's)
        """Map (N, H, W, C) to (N, H', W', C')."""
        hidden = self.relu(self.norms[0](self.first(images), training=training))
        hidden = self.norms[1](self.second(hidden), training=training)
        kept = images[:, :: self.stride, :: self.stride]
        if self.padding:
            kept = ops.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.padding)))
        return self.relu(hidden + kept)


def resnet20() -> Layers:
    channels: Sequence[int] = [16, *(width for width in (16, 32, 64) for _ in range(3))]
    return [
        layers.Conv2D(16, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        *(Block(before, after) for before, after in pairwise(channels)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]


NETWORKS: dict[str, Callable[[], Layers]] = {
    "lenet": lenet,
    "lenet_shift": lenet,
    "alexnet": alexnet,
    "vgg11": vgg11,
    "vgg19": vgg19,
    "resnet20": resnet20,
}
adadelta = partial(optimizers.Adadelta, 1.0, rho=0.95)
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "lenet": optimizers.Adam,
    "lenet_shift": optimizers.Adam,
    "alexnet": adadelta,
    "vgg11": adadelta,
    "vgg19": partial(optimizers.SGD, 0.01, momentum=0.9, nesterov=True),
    "resnet20": partial(optimizers.SGD, 0.1, momentum=0.9, weight_decay=1e-4),
}
