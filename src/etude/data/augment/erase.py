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


class Erase:
    """Overwrite one rectangle of area U(a0, a1) of the image, height over width U(r0, r1).

    A departure: one that does not fit is cut down to the image's side, not drawn again, so that
    every image needs the same number of draws.

    Args:
        probability: Of doing so.
        area: The rectangle's least and greatest part of the image's area.
        ratio: Its least and greatest height over width.
        value: What it is filled with, in the images' scale.
        noise: The limits of noise, another for every value of every image, in place of the value.
    """

    def __init__(
        self,
        probability: float,
        area: Sequence[float],
        ratio: Sequence[float],
        *,
        value: float = 0.0,
        noise: Sequence[float] | None = None,
    ) -> None:
        check_pair("erase_area", area, 1, "erase_probability")
        check_pair("erase_ratio", ratio, 1000, "erase_probability")
        self.probability = probability
        self.area = area
        self.ratio = ratio
        self.value = value
        self.noise = noise
        if noise is not None and (len(noise) != 2 or noise[0] > noise[1]):
            raise UserError(
                f"augment.erase_noise={list(noise)} must be two numbers, the lesser first; "
                "or set augment.erase_fill=value"
            )

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        return 5 if self.noise is None else 6

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Erase from images (N, C, H, W); draws (N, 5 or 6): whether, area, ratio, top, left."""
        images = images.float()
        erased = self._rectangle(draws[:, :5], *images.shape[-2:])
        if self.noise is None:
            return torch.lerp(images, images.new_full((), self.value), erased)
        return torch.lerp(images, noise(draws[:, 5], images.shape[1:], self.noise), erased)

    def _rectangle(self, draws: Tensor, height: int, width: int) -> Tensor:
        """Place the rectangles: (N, 1, height, width) of 0.0 and 1.0."""
        whether, area, ratio, top, left = draws.unbind(1)
        area = between(area, self.area) * (height * width)
        ratio = between(ratio, self.ratio)
        tall = (area * ratio).sqrt().long().clamp(max=height)
        wide = (area / ratio).sqrt().long().clamp(max=width)
        rows, columns = _span(top, tall, height), _span(left, wide, width)
        chosen = (whether < self.probability)[:, None]
        return crossed(rows & chosen, columns)


def _span(draws: Tensor, length: Tensor, size: int) -> Tensor:
    """Place a span of `length` (N,) at random in `size` pixels: bool (N, size)."""
    first = integers(draws, size - length + 1)[:, None]
    index = torch.arange(size, device=draws.device)
    return (index >= first) & (index < first + length[:, None])
