"""Random erasing: one rectangle of an image is overwritten, as in document 003.

Zhong et al. 2020, https://arxiv.org/abs/1708.04896, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.augment.draws import between, integers
from etude.data.augment.gather import crossed
from etude.data.augment.limits import check_pair
from etude.data.augment.noise import noise

# Of one image. Where a share p of all draws fits, all of them miss with (1 - p)^64: with document
# 003's limits p is 0.28 to 0.32, by the image's side, and one image in 10^9 has none that fits.
CANDIDATES = 64

# Their heights, widths, tops and lefts: (N,) int64 each, within the image.
Rectangles = tuple[Tensor, Tensor, Tensor, Tensor]


class Erase:
    """Overwrite one rectangle of area U(a0, a1) of the image, height over width U(r0, r1).

    With `again`, area, ratio and corner are drawn until the rectangle lies within the image, as in
    document 003: of so many candidates, made of one random number, the first that does is taken.
    Where none does, the last is cut down to the image's sides and moved inside. Else a rectangle of
    any area is cut down, and its corner drawn so that it lies within; larger parts are then erased.

    Args:
        probability: Of doing so.
        area: The rectangle's least and greatest part of the image's area.
        ratio: Its least and greatest height over width.
        value: What it is filled with, in the images' scale.
        noise: The limits of noise, another for every value of every image, in place of the value.
        again: Whether one that does not fit is drawn again, not cut down.
    """

    def __init__(
        self,
        probability: float,
        area: Sequence[float],
        ratio: Sequence[float],
        *,
        value: float = 0.0,
        noise: Sequence[float] | None = None,
        again: bool = False,
    ) -> None:
        check_pair("erase_area", area, 1, "erase_probability")
        check_pair("erase_ratio", ratio, 1000, "erase_probability")
        self.probability = probability
        self.area = area
        self.ratio = ratio
        self.value = value
        self.noise = noise
        self.again = again
        if noise is not None and (len(noise) != 2 or noise[0] > noise[1]):
            raise UserError(
                f"augment.erase_noise={list(noise)} must be two numbers, the lesser first; "
                "or set augment.erase_fill=value"
            )

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        return self._places + (self.noise is not None)

    @property
    def _places(self) -> int:
        """Count those of the rectangle: whether and all candidates, or each number by itself."""
        return 2 if self.again else 5

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Erase from images (N, C, H, W), by draws (N, self.draws); the noise's comes last."""
        images = images.float()
        erased = self._rectangle(draws[:, : self._places], *images.shape[-2:])
        if self.noise is None:
            return torch.lerp(images, images.new_full((1, 1, 1, 1), self.value), erased)
        return torch.lerp(images, noise(draws[:, -1], images.shape[1:], self.noise), erased)

    def _rectangle(self, draws: Tensor, height: int, width: int) -> Tensor:
        """Place the rectangles: (N, 1, height, width) of 0.0 and 1.0."""
        place = self._first_that_fits if self.again else self._cut_down
        tall, wide, top, left = place(draws[:, 1:], height, width)
        chosen = (draws[:, 0] < self.probability)[:, None]
        return crossed(_span(top, tall, height) & chosen, _span(left, wide, width))

    def _cut_down(self, draws: Tensor, height: int, width: int) -> Rectangles:
        """Make rectangles of draws (N, 4): area, ratio, top, left."""
        area, ratio, top, left = draws.unbind(1)
        tall, wide = self._sides(area, ratio, height, width)
        tall, wide = tall.clamp(max=height), wide.clamp(max=width)
        return tall, wide, integers(top, height - tall + 1), integers(left, width - wide + 1)

    def _first_that_fits(self, draws: Tensor, height: int, width: int) -> Rectangles:
        """Choose among the candidates of draws (N, 1)."""
        area, ratio, top, left = noise(draws[:, 0], (4, CANDIDATES), (0.0, 1.0)).unbind(1)
        tall, wide = self._sides(area, ratio, height, width)
        top, left = integers(top, height), integers(left, width)
        fits = (top + tall <= height) & (left + wide <= width)
        index = torch.arange(CANDIDATES, device=draws.device)
        first = torch.where(fits, index, CANDIDATES - 1).amin(1, keepdim=True)
        tall, wide, top, left = (each.gather(1, first)[:, 0] for each in (tall, wide, top, left))
        tall, wide = tall.clamp(max=height), wide.clamp(max=width)
        return tall, wide, top.minimum(height - tall), left.minimum(width - wide)

    def _sides(self, area: Tensor, ratio: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Turn draws of areas and ratios into whole heights and widths, which may be too large."""
        area = between(area, self.area) * (height * width)
        ratio = between(ratio, self.ratio)
        return (area * ratio).sqrt().long(), (area / ratio).sqrt().long()


def _span(first: Tensor, length: Tensor, size: int) -> Tensor:
    """Mark spans of `length` (N,) from `first` (N,) on among `size` pixels: bool (N, size)."""
    index = torch.arange(size, device=first.device)
    return (index >= first[:, None]) & (index < (first + length)[:, None])
