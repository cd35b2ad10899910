"""Keras on TensorFlow: `model.fit` over NumPy arrays, with the same layers, without an end."""

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from benchmarks.contestants.keras_networks import AUGMENTS, NETWORKS, OPTIMIZERS
from benchmarks.referee import Referee, options


class Turns(keras.callbacks.Callback):
    """Makes every epoch a turn."""

    def __init__(self, referee: Referee) -> None:
        super().__init__()
        self.referee = referee

    def on_epoch_begin(self, _epoch: int, _logs: Any = None) -> None:
        """Wait for the driver."""
        self.referee.wait()

    def on_epoch_end(self, _epoch: int, _logs: Any = None) -> None:
        """Answer it."""
        self.referee.done()


def main() -> None:
    row, chosen = options(__doc__)
    if chosen.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")  # of layers made from here on
    arrays = np.load(chosen.arrays)
    images = arrays["images"].astype("float32") / 255
    model = keras.Sequential(
        [keras.Input(images.shape[1:]), *AUGMENTS[row.augment], *NETWORKS[row.name]()]
    )
    model.compile(
        optimizer=OPTIMIZERS[row.name](),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    referee = Referee()
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    referee.ready(versions=versions, parameters=model.count_params())
    turns = [Turns(referee)]
    model.fit(
        images,
        arrays["labels"],
        batch_size=row.batch_size,
        epochs=10**6,
        verbose=0,
        callbacks=turns,
    )


if __name__ == "__main__":
    main()
