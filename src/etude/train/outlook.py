"""What a network's layers tell before its first step: is compiling worth it, what can be evaluated?

Both follow from the configuration alone, not from what some machine measures on some day, so that
one command means one run.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from etude.train.memory import Layer, count_outputs

# Measured on an H200 with five networks, LeNet to VGG-19, in bfloat16 and batches of 128: what
# compiling saves of a captured step, and what it takes where nothing of it is in the cache. It is
# never more than was measured; a slower GPU saves more.
_SAVED_A_LAYER = 5e-6  # seconds; launches
_SAVED_AN_OUTPUT = 1.5e-12  # of each image; passes over memory
_SAVED_A_WEIGHT = 9e-12  # its cast to bfloat16, and that of its gradient
_SAVED_A_WEIGHT_UPDATED = 28e-12  # where the update is not one kernel already
_COMPILING = 5.0  # seconds
_COMPILING_A_LAYER = 0.3


class Outlook(NamedTuple):
    """A network on its images.

    Attributes:
        layers: As they are walked through.
        image: (C, H, W).
        parameters: Trainable values.
        batch_size: Images in memory at a time, in a step.
    """

    layers: Sequence[Layer]
    image: Sequence[int]
    parameters: int
    batch_size: int

    def worth_compiling(self, steps: int, *, one_kernel: bool) -> bool:
        """Say whether compiling is predicted to save more time than it takes.

        Args:
            steps: Of the whole run.
            one_kernel: Whether the optimizer's update is one already.
        """
        outputs = sum(math.prod(layer.shape) for layer in self.layers)
        weight = _SAVED_A_WEIGHT + (0 if one_kernel else _SAVED_A_WEIGHT_UPDATED)
        saved = (
            _SAVED_A_LAYER * len(self.layers)
            + _SAVED_AN_OUTPUT * outputs * self.batch_size
            + weight * self.parameters
        )
        return saved * steps > _COMPILING + _COMPILING_A_LAYER * len(self.layers)

    def evaluated(self, images: int) -> int:
        """Give the most images whose evaluation takes no more memory than a training step.

        By the model of document 004 a step holds every layer's output, forward and backward; an
        evaluation holds the input and the output of one layer, and its largest one counts.

        Args:
            images: Of the largest split that is evaluated.
        """
        sizes = [math.prod(self.image), *(math.prod(layer.shape) for layer in self.layers)]
        largest = max(map(sum, pairwise(sizes)), default=sizes[0])
        held = 2 * self.batch_size * count_outputs(self.layers, self.image)
        return max(1, min(images, held // largest))
