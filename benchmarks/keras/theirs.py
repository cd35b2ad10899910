"""The documents' systems in Keras, trained on given weights and batches; the losses are written.

.bench/keras/bin/python benchmarks/keras/theirs.py <name> <input.npz> <output.npz>
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from systems import (
    BETAS,
    EPSILON,
    EPSILON_BN,
    HIDDEN,
    MOMENTUM,
    RHO,
    STAGES,
    STEPS,
    SYSTEMS,
    WIDTH,
    System,
)

keras.config.set_floatx("float64")


def conv(x, name, filters, kernel, l2, *, strides=1, padding="same"):
    penalty = keras.regularizers.L2(l2) if l2 else None
    return layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, kernel_regularizer=penalty, name=name
    )(x)


def dense(x, name, units, l2):
    penalty = keras.regularizers.L2(l2) if l2 else None
    return layers.Dense(units, kernel_regularizer=penalty, name=name)(x)


def norm(x, name):
    return layers.BatchNormalization(epsilon=EPSILON_BN, name=name)(x)


def lenet(x, system: System):
    for name, filters in (("features_0", 6), ("features_3", 16)):
        x = layers.MaxPooling2D(2)(
            layers.ReLU()(conv(x, name, filters, 5, system.l2, padding="valid"))
        )
    x = layers.Flatten()(x)
    x = layers.ReLU()(dense(x, "classifier_0", 120, system.l2))
    x = layers.ReLU()(dense(x, "classifier_2", 84, system.l2))
    return dense(x, "classifier_4", 10, system.l2)


def alexnet(x, system: System):
    table = ((0, 32, 3, 2), (3, 64, 5, 2), (6, 128, 3, 0), (8, 256, 3, 0), (10, 256, 3, 3))
    for index, filters, kernel, pool in table:
        x = layers.ReLU()(conv(x, f"features_{index}", filters, kernel, system.l2))
        if pool:
            x = layers.MaxPooling2D(pool, 2)(x)
    x = layers.Flatten()(x)
    x = layers.ReLU()(dense(x, "classifier_0", 1024, system.l2))
    x = layers.ReLU()(dense(x, "classifier_3", 512, system.l2))
    return dense(x, "classifier_6", 10, system.l2)


def vgg19(x, system: System):
    for stage, (filters, count) in enumerate(STAGES, 1):
        for index in range(1, count + 1):
            where = f"features_stage{stage}_"
            x = conv(x, f"{where}conv{index}", round(WIDTH * filters), 3, system.l2)
            x = layers.ReLU()(norm(x, f"{where}norm{index}"))
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    for index in (1, 2):
        x = dense(x, f"classifier_fc{index}", HIDDEN, system.l2)
        x = layers.ReLU()(norm(x, f"classifier_norm{index}"))
    return norm(dense(x, "classifier_fc3", 10, system.l2), "classifier_norm3")


def resnet20(x, system: System):
    x = layers.ReLU()(norm(conv(x, "stem_conv", 16, 3, system.l2), "stem_norm"))
    for stage, filters in enumerate((16, 32, 64), 1):
        for index in range(1, 4):
            down = stage > 1 and index == 1
            where, strides = f"stage{stage}_block{index}_residual_", 2 if down else 1
            first = f"{where}branch_conv1{'_conv' if down else ''}"
            y = conv(x, first, filters, 3, system.l2, strides=strides)
            y = layers.ReLU()(norm(y, f"{where}branch_norm1"))
            y = norm(conv(y, f"{where}branch_conv2", filters, 3, system.l2), f"{where}branch_norm2")
            if down:
                x = conv(x, f"{where}shortcut", filters, 1, system.l2, strides=2)
            x = layers.ReLU()(layers.add([x, y]))
    return dense(layers.GlobalAveragePooling2D()(x), "fc", 10, 0)


def optimizer(system: System):
    rate = system.rates[0]
    if system.optimizer == "adam":
        first, second = BETAS
        return keras.optimizers.Adam(rate, beta_1=first, beta_2=second, epsilon=EPSILON)
    if system.optimizer == "adadelta":
        return keras.optimizers.Adadelta(rate, rho=RHO, epsilon=EPSILON)
    return keras.optimizers.SGD(rate, momentum=MOMENTUM, nesterov=True)


def main(name: str, given: str, written: str) -> None:
    system, data = SYSTEMS[name], np.load(given)
    images = keras.Input((system.side, system.side, system.channels))
    model = keras.Model(images, globals()[name](images, system))
    for layer in model.layers:
        if weights := [key for key in data.files if key.rpartition("|")[0] == layer.name]:
            order = [w.name for w in layer.weights]
            layer.set_weights([data[f"{layer.name}|{key}"] for key in order])
            if len(weights) != len(order):
                sys.exit(f"{layer.name} has {order}, and was given {weights}")
    update = optimizer(system)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=update, loss=loss)
    outputs = model.predict(data["images"][: system.batch], verbose=0)
    losses = []
    for step in range(STEPS):
        update.learning_rate = system.rates[step]
        first = step * system.batch
        batch = slice(first, first + system.batch)
        found = model.train_on_batch(data["images"][batch], data["labels"][batch])
        model.reset_metrics()
        losses.append(float(np.asarray(found).reshape(-1)[0]))
    np.savez(Path(written), losses=losses, outputs=outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
