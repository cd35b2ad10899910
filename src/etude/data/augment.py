"""Random changes to whole batches, on their device: shift, crop, flip, erase, in this order.

What happens to an image is a function of its own random numbers, which the caller draws. So it
depends neither on the batch the image is in nor on what was drawn before: a resumed run, another
batch size and another device change images alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from etude.data.gather import crossed, pad, shift, windows
from etude.errors import UserError

FILLS = ("constant", "nearest")


class Augment:
    """Augment a batch; every change is off at None or 0.

    Args:
        shift_fraction: Keras's `width_shift_range` and `height_shift_range`: the image moves by up
            to this fraction of its side, in (0, 1), along both axes, by parts of a pixel too.
        fill: What a shift brings in: `constant` or `nearest`, the image's edge.
        fill_value: The constant, for a crop's padding too, in the images' scale.
        flip_probability: Of a horizontal flip.
        crop_padding: Pixels added to every side before a crop of the old size at a random place.
        erase_probability: Of erasing one rectangle.
        erase_area: The rectangle's least and greatest part of the image's area.
        erase_ratio: Its least and greatest height over width, drawn uniformly.
        erase_value: What it is filled with, in the images' scale.
        after_normalize: Whether the caller applies this to normalised images or to 0-255 ones.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        *,
        shift_fraction: float | None = None,
        fill: str = "constant",
        fill_value: float = 0.0,
        flip_probability: float | None = None,
        crop_padding: int | None = None,
        erase_probability: float | None = None,
        erase_area: Sequence[float] | None = None,
        erase_ratio: Sequence[float] | None = None,
        erase_value: float = 0.0,
        after_normalize: bool = False,
    ) -> None:
        self.shift_fraction = shift_fraction or 0.0
        self.fill = fill
        self.fill_value = fill_value
        self.flip_probability = flip_probability or 0.0
        self.crop_padding = crop_padding or 0
        self.erase_probability = erase_probability or 0.0
        self.erase_area = tuple(erase_area or ())
        self.erase_ratio = tuple(erase_ratio or ())
        self.erase_value = erase_value
        self.after_normalize = after_normalize
        self._check()

    def _check(self) -> None:
        _check_range("shift_fraction", self.shift_fraction, 0, 1)
        _check_range("flip_probability", self.flip_probability, 0, 1)
        _check_range("erase_probability", self.erase_probability, 0, 1)
        _check_range("crop_padding", self.crop_padding, 0, 1024)
        if self.fill not in FILLS:
            raise UserError(f"augment.fill={self.fill} is unknown; use one of {', '.join(FILLS)}")
        if self.erase_probability:
            _check_pair("erase_area", self.erase_area, 1)
            _check_pair("erase_ratio", self.erase_ratio, 1000)

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        moves = 2 * bool(self.shift_fraction) + 2 * bool(self.crop_padding)
        return moves + bool(self.flip_probability) + 5 * bool(self.erase_probability)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augment images.

        Args:
            images: (N, C, H, W) float32.
            draws: (N, self.draws) float32, uniform in [0, 1).

        Returns:
            A new tensor (N, C, H, W), or `images` when everything is off.
        """
        if self.shift_fraction:
            images = self._shift(images, draws[:, 0], draws[:, 1])
            draws = draws[:, 2:]
        if self.crop_padding or self.flip_probability:
            taken = 2 * bool(self.crop_padding) + bool(self.flip_probability)
            images = self._crop_and_flip(images, draws[:, :taken])
            draws = draws[:, taken:]
        if self.erase_probability:
            images = self._erase(images, draws)
        return images

    def _shift(self, images: Tensor, down: Tensor, right: Tensor) -> Tensor:
        """Move images by U(-f, f) of their height and width; draws are (N,) each."""
        height, width = images.shape[-2:]
        rows = (2 * down - 1) * (self.shift_fraction * height)
        columns = (2 * right - 1) * (self.shift_fraction * width)
        reach = math.ceil(self.shift_fraction * max(height, width))
        constant = self.fill_value if self.fill == "constant" else None
        return shift(images, rows, columns, reach=reach, constant=constant)

    def _crop_and_flip(self, images: Tensor, draws: Tensor) -> Tensor:
        """Cut a window out of the padded image, then mirror it; draws (N, 1 to 3)."""
        if self.crop_padding:
            height, width = images.shape[-2:]
            offsets = _integers(draws[:, :2], 2 * self.crop_padding + 1)
            padded = pad(images, self.crop_padding, self.fill_value)
            images = windows(padded, offsets[:, 0], offsets[:, 1], height, width)
        if self.flip_probability:
            mirrored = (draws[:, -1] < self.flip_probability).float()
            images = torch.lerp(images, images.flip(3), mirrored[:, None, None, None])
        return images

    def _erase(self, images: Tensor, draws: Tensor) -> Tensor:
        """Overwrite one rectangle; draws (N, 5): whether, area, ratio, top, left.

        The rectangle is document 003's: area U(a0, a1) of the image, height over width U(r0, r1).
        Two departures: one that does not fit is cut down to the image's side, not drawn again, so
        that every image needs the same number of draws; and it is filled with one value, not with
        noise.
        """
        height, width = images.shape[-2:]
        whether, area, ratio, top, left = draws.unbind(1)
        area = _between(area, self.erase_area) * (height * width)
        ratio = _between(ratio, self.erase_ratio)
        tall = (area * ratio).sqrt().long().clamp(max=height)
        wide = (area / ratio).sqrt().long().clamp(max=width)
        rows, columns = _span(top, tall, height), _span(left, wide, width)
        chosen = (whether < self.erase_probability)[:, None]
        erased = crossed(rows & chosen, columns)
        return torch.lerp(images, images.new_full((), self.erase_value), erased)


def _integers(draws: Tensor, count: Tensor | int) -> Tensor:
    """Map [0, 1) to the whole numbers 0..count-1, which rounding in float32 does not leave."""
    return (draws * count).long()


def _between(draws: Tensor, limits: Sequence[float]) -> Tensor:
    low, high = limits
    return low + draws * (high - low)


def _span(draws: Tensor, length: Tensor, size: int) -> Tensor:
    """Place a span of `length` (N,) at random in `size` pixels: bool (N, size)."""
    first = _integers(draws, size - length + 1)[:, None]
    index = torch.arange(size, device=draws.device)
    return (index >= first) & (index < first + length[:, None])


def _check_range(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UserError(
            f"augment.{key}={value} must lie between {low} and {high}; null turns it off"
        )


def _check_pair(key: str, pair: tuple[float, ...], most: float) -> None:
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= most:
        raise UserError(
            f"augment.{key}={list(pair)} must be two numbers above 0, the lesser first, up to "
            f"{most}; it goes with augment.erase_probability, which null turns off"
        )
