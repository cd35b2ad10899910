"""Windows at random places of images that are kept larger than what a network sees.

Windows are cut before anything else happens to an image, out of its pixels from 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from etude.data.augment.draws import between, columns, integers
from etude.data.augment.gather import windows
from etude.data.augment.limits import check_pair
from etude.data.resample import WINDOW_INTERPOLATIONS, Span, resample


class Cut(NamedTuple):
    """Windows, one an image.

    Attributes:
        rows: Where they lie.
        columns: Likewise.
        kind: By what they are brought to their size: one of `WINDOW_INTERPOLATIONS`, or the place
            in it of every image's own, (N,) int64; `own` where it is up to the data set.
    """

    rows: Span
    columns: Span
    kind: str | Tensor


def middle(images: int, side: int, size: int) -> Cut:
    """Place windows of `size` in the middle of images of `side` pixels, as `central` does."""
    corner = torch.full((images,), (side - size) // 2)
    return Cut(_span(corner, size), _span(corner, size), "own")


def _span(corner: Tensor, size: int) -> Span:
    length = torch.full_like(corner, size)
    return Span(corner.double(), length.double(), corner, corner + length - 1)


class Place:
    """A window at a random place: Krizhevsky et al. 2012, section 4.1."""

    draws = 2

    def __call__(self, images: Tensor, draws: Tensor, size: int) -> Tensor:
        """Cut out of images (N, C, H, W): (N, C, size, size); draws (N, 2): top, left."""
        height, width = images.shape[-2:]
        top, left = _corner(draws, height, width, size)
        return windows(images, top, left, size, size)

    def cut(self, draws: Tensor, side: int, size: int) -> Cut:
        """Place the windows in images of `side` pixels."""
        top, left = _corner(draws, side, side, size)
        return Cut(_span(top, size), _span(left, size), "own")


def _corner(draws: Tensor, height: int, width: int, size: int) -> tuple[Tensor, Tensor]:
    top, left = columns(draws)
    return integers(top, height - size + 1), integers(left, width - size + 1)


class Interpolation:
    """One for all images, or for every image its own by a draw.

    Args:
        name: One of `etude.data.resample.WINDOW_INTERPOLATIONS`, or `random` for one of them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.draws = 1 if name == "random" else 0

    def __call__(self, draws: Sequence[Tensor]) -> str | Tensor:
        """Choose by what is left of the draws, (N,) or nothing."""
        return integers(draws[0], len(WINDOW_INTERPOLATIONS)) if draws else self.name


class Scaled:
    """A window at a random place of an image whose side is brought to a random length first.

    Simonyan & Zisserman 2015, section 3.1; He et al. 2016, section 3.4. A side of S pixels is drawn
    from the whole numbers between two, then the window's place among those that it has at S. Both
    are one step here: a window of side kept · size / S is brought to the size.

    Two departures. The papers rescale the original image by its shorter side; here it is the square
    that is kept, so the long side's ends are never seen, and an S above the side at which images
    are kept enlarges them, unless windows are cut out of the files (`dataset.cut_from=original`).

    Args:
        scales: The least and the greatest S, in pixels.
        interpolation: See `Interpolation`.
    """

    def __init__(self, scales: Sequence[int], interpolation: str) -> None:
        check_pair("scales", scales, 4096, "scales")
        self.scales = scales
        self.interpolation = Interpolation(interpolation)
        self.draws = 3 + self.interpolation.draws

    def __call__(self, images: Tensor, draws: Tensor, size: int) -> Tensor:
        """Cut out of images (N, C, H, H); draws (N, 3 or 4): scale, top, left, interpolation."""
        rows, across, kind = self.cut(draws, images.shape[-1], size)
        return resample(images, rows, across, size, kind)

    def cut(self, draws: Tensor, kept: int, size: int) -> Cut:
        """Place the windows in images of `kept` pixels a side."""
        scale, top, left, *chosen = columns(draws)
        least, most = self.scales
        side = least + integers(scale, most - least + 1)
        rows, across = (_at_scale(draw, side, size, kept) for draw in (top, left))
        return Cut(rows, across, self.interpolation(chosen))


def _at_scale(draw: Tensor, side: Tensor, size: int, kept: int) -> Span:
    """Place a window of `size` in images of `side` (N,), and find it in images of `kept` pixels."""
    unit = kept / side.double()
    start = integers(draw, side - size + 1)
    # What is scaled is the image: beyond the window lie more of its pixels.
    return Span(start * unit, size * unit, torch.zeros_like(side), torch.full_like(side, kept - 1))


class Area:
    """A window of a random area and aspect, brought to the size: Szegedy et al. 2015, section 6.

    The area is uniform, a part of the image's; so is the logarithm of the aspect, width over
    height, so that wide windows are as likely as tall ones (the paper gives only its limits).

    A departure, so that every image needs the same number of draws: where other programs draw
    again until a window fits, the aspect is held to those at which one of its area fits.

    Args:
        area: Its least and greatest part of the image's area.
        aspect: Its least and greatest width over height.
        interpolation: See `Interpolation`.
    """

    def __init__(self, area: Sequence[float], aspect: Sequence[float], interpolation: str) -> None:
        check_pair("crop_area", area, 1, "crop")
        check_pair("crop_aspect", aspect, 1000, "crop")
        self.area = area
        self.aspect = aspect
        self.interpolation = Interpolation(interpolation)
        self.draws = 4 + self.interpolation.draws

    def __call__(self, images: Tensor, draws: Tensor, size: int) -> Tensor:
        """Cut out of images (N, C, H, W); draws (N, 4 or 5): area, aspect, top, left, kind."""
        rows, across, kind = self._placed(draws, *images.shape[-2:])
        return resample(images, rows, across, size, kind)

    def cut(self, draws: Tensor, side: int, _: int) -> Cut:
        """Place the windows in images of `side` pixels."""
        return self._placed(draws, side, side)

    def _placed(self, draws: Tensor, height: int, width: int) -> Cut:
        area, aspect, top, left, *chosen = columns(draws)
        tall, wide = self._sides(area, aspect, height, width)
        rows, across = _whole(top, tall, height), _whole(left, wide, width)
        return Cut(rows, across, self.interpolation(chosen))

    def _sides(
        self, area: Tensor, aspect: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Give the windows' height and width in whole pixels, (N,) int64 each."""
        part = between(area, self.area)
        square = width / height  # the aspect at which a window is as wide as it is tall in parts
        low, high = (
            torch.full_like(part, limit).clamp(part * square, square / part)
            for limit in self.aspect
        )
        ratio = low * (aspect * (high / low).log()).exp()
        tall = (part * (height * width) / ratio).sqrt().round().clamp(1, height)
        wide = (part * (height * width) * ratio).sqrt().round().clamp(1, width)
        return tall.long(), wide.long()


def _whole(draw: Tensor, length: Tensor, side: int) -> Span:
    """Place windows of `length` (N,) in `side` pixels; nothing beyond a window is read."""
    start = integers(draw, side - length + 1)
    return Span(start.double(), length.double(), start, start + length - 1)
