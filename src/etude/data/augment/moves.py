"""Moves by whole images: a sub-pixel shift, a crop from a padded image, a mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from etude.data.augment.draws import around, integers
from etude.data.augment.gather import best_one_by_one, pad, shift, windows

PIXELS = range(256)  # what uint8 holds, as whole numbers


class Shift:
    """Move an image by up to a fraction of each side, by parts of a pixel too, as Keras does.

    Args:
        fraction: Keras's `width_shift_range` and `height_shift_range`, in (0, 1).
        constant: What comes in; None for the nearest pixel.
    """

    draws = 2

    def __init__(self, fraction: float, constant: float | None) -> None:
        self.fraction = fraction
        self.constant = constant

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Move images (N, C, H, W) by U(-f, f) of their sides; draws (N, 2): down, right."""
        height, width = images.shape[-2:]
        rows = around(draws[:, 0], self.fraction * height)
        columns = around(draws[:, 1], self.fraction * width)
        reach = math.ceil(self.fraction * max(height, width))
        return shift(images, rows, columns, reach=reach, constant=self.constant)


class PaddedCrop:
    """Add pixels to every side, then crop to the old size at a random place.

    Args:
        padding: Pixels a side.
        fill_value: What they are.
    """

    draws = 2

    def __init__(self, padding: int, fill_value: float) -> None:
        self.padding = padding
        self.fill_value = fill_value
        self.is_pixel = fill_value in PIXELS

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop images (N, C, H, W); draws (N, 2): top, left."""
        offsets = integers(draws, 2 * self.padding + 1)
        images = images if self.is_pixel else images.float()
        padded = pad(images, self.padding, self.fill_value)
        return windows(padded, offsets[:, 0], offsets[:, 1], *images.shape[-2:])


class Flip:
    """Mirror an image horizontally with a probability."""

    draws = 1

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Mirror those of images (N, C, H, W) whose draw, (N, 1), is below the probability."""
        below = draws[:, 0] < self.probability
        if best_one_by_one(images):
            return _mirrored_one_by_one(images, below.tolist())
        chosen = below[:, None, None, None]
        mirrored = images.flip(3)
        if images.dtype == torch.uint8:
            # By bits, as on a CPU `where` takes eight times as long.
            return images ^ ((images ^ mirrored) & chosen.byte().neg_())
        return torch.lerp(images, mirrored, chosen.float())


def _mirrored_one_by_one(images: Tensor, chosen: Sequence[bool]) -> Tensor:
    """Mirror only the chosen images, each while it is in the cache."""
    made = torch.empty_like(images)
    for place, image, is_chosen in zip(made.unbind(0), images.unbind(0), chosen, strict=True):
        place.copy_(image.flip(2) if is_chosen else image)
    return made
