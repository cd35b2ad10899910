"""What is compared: the documents' systems, by the names that both sides build them under.

Read by both interpreters, so it imports neither framework. Dropout is off, and the constants are
ones that float32 holds exactly: both sides keep some of theirs in it.
"""

from typing import NamedTuple


class System(NamedTuple):
    """A network, its images, and how it is trained.

    Attributes:
        side: Of its images, in pixels.
        channels: Of its images.
        optimizer: By Keras's name.
        rates: Of each step, repeated from the start where they run out.
        l2: Keras's λ on kernels; not on the last layer of `resnet20`.
        batch: Images in a step.
    """

    side: int
    channels: int
    optimizer: str
    rates: tuple[float, ...]
    l2: float
    batch: int = 16


STEPS = 12
SYSTEMS = {
    "lenet": System(28, 1, "adam", (2**-10,) * STEPS, 0.0),
    "alexnet": System(28, 1, "adadelta", (1.0,) * STEPS, 0.0),
    "vgg19": System(32, 3, "sgd", (2**-7,) * 5 + (2**-8,) * 4 + (2**-10,) * 3, 2**-13, batch=8),
    "resnet20": System(32, 3, "adam", (2**-10,) * STEPS, 2**-13),
}
# VGG-19 at a quarter of its width.
WIDTH, HIDDEN = 0.25, 1024
STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
EPSILON_BN = 2**-10  # about Keras's 1e-3
EPSILON = 2**-23  # about Keras's 1e-7
RHO = 0.9375  # about Adadelta's .95
MOMENTUM = 0.875
BETAS = (0.875, 1 - 2**-10)
