"""Keras's `ImageDataGenerator`: rotation, shift, shear and zoom as one map, sampled once.

Keras 2.1.6, `keras/preprocessing/image.py`, `random_transform`: what a new pixel shows is found
through rotation · shift · shear · zoom about the middle, between pixels linearly.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from etude.data.augment.draws import around, columns


class Affine:
    """Draw a map for every image, and sample it; what is off takes no draw.

    Args:
        shift: The image moves by U(-shift, shift) of its height and of its width.
        rotation: It turns by U(-rotation, rotation), in degrees.
        shear: The angle that its columns lean by, U(-shear, shear), in degrees.
        zoom: Height and width are multiplied by U(1 - zoom, 1 + zoom) each; above 1, more is seen.
        constant: What comes in; None for the nearest pixel.
    """

    def __init__(
        self, *, shift: float, rotation: float, shear: float, zoom: float, constant: float | None
    ) -> None:
        self.reach = (shift, shift, rotation, shear, zoom, zoom)
        self.constant = constant

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        return sum(reach > 0 for reach in self.reach)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Map images (N, C, H, W); draws: down, right, angle, shear, zoom of rows, of columns."""
        given = iter(columns(draws))
        down, right, angle, shear, tall, wide = (
            around(next(given), reach) if reach else draws.new_zeros(len(draws)).double()
            for reach in self.reach
        )
        height, width = images.shape[-2:]
        rows, across = matrix(
            down * height,
            right * width,
            torch.deg2rad(angle),
            torch.deg2rad(shear),
            1 + tall,
            1 + wide,
        )
        return warp(
            images,
            _centred(rows, 0, height, width),
            _centred(across, 1, height, width),
            self.constant,
        )


Row = tuple[Tensor, Tensor, Tensor]  # (N,) float64 each: times the row, times the column, plus


def matrix(
    down: Tensor, right: Tensor, angle: Tensor, shear: Tensor, tall: Tensor, wide: Tensor
) -> tuple[Row, Row]:
    """Multiply out rotation · shift · shear · zoom, as Keras has each; all (N,) float64.

    Rotation is ((cos, -sin), (sin, cos)), shear ((1, -sin), (0, cos)), zoom the sides' factors.

    Returns:
        The rows of the map from a new pixel's (row, column) to the one that it shows.
    """
    cos, sin = angle.cos(), angle.sin()
    lean, upright = -shear.sin(), shear.cos()
    return (
        (cos * tall, (cos * lean - sin * upright) * wide, cos * down - sin * right),
        (sin * tall, (sin * lean + cos * upright) * wide, sin * down + cos * right),
    )


def _centred(row: Row, axis: int, height: int, width: int) -> Row:
    """Apply a map's row about (height / 2 + 1/2, width / 2 + 1/2), half a pixel off the middle."""
    middle = (height / 2 + 0.5, width / 2 + 0.5)
    by_row, by_column, plus = row
    return by_row, by_column, plus + middle[axis] - by_row * middle[0] - by_column * middle[1]


def warp(images: Tensor, rows: Row, across: Row, constant: float | None) -> Tensor:
    """Sample images through a map each, between pixels linearly.

    It equals `scipy.ndimage.affine_transform` with `order=1`: in its `constant` mode a position
    outside the pixels' centres is the constant, not blended with it.

    Args:
        images: (N, C, H, W).
        rows: To the row that a pixel shows.
        across: To the column.
        constant: What lies outside; None stands for the nearest pixel.

    Returns:
        (N, C, H, W).
    """
    images = images.float()
    n, channels, height, width = images.shape
    rows_at, columns_at = _positions(rows, height, width), _positions(across, height, width)
    # What lies outside shows the edge; past the last line is one more, read with a weight of 0.
    y, x = rows_at.clamp(0, height - 1), columns_at.clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    flat = functional.pad(images, (0, 1, 0, 1)).reshape(n, channels, -1)
    index = torch.add(left, top, alpha=width + 1).long().view(n, 1, -1).expand(-1, channels, -1)

    def read(ahead: int) -> Tensor:
        return flat[:, :, ahead:].gather(2, index).view(images.shape)

    below, beside = (y - top).float()[:, None], (x - left).float()[:, None]
    upper = read(0).lerp_(read(1), beside)
    warped = upper.lerp_(read(width + 1).lerp_(read(width + 2), beside), below)
    if constant is None:
        return warped
    inside = ((rows_at == y) & (columns_at == x))[:, None]
    return torch.where(inside, warped, constant)


def _positions(row: Row, height: int, width: int) -> Tensor:
    """Apply a map's row to every pixel: (N, height, width), in float64 as its rounding is seen."""
    by_row, by_column, plus = (part[:, None, None] for part in row)
    index = torch.arange(max(height, width), device=plus.device, dtype=torch.float64)
    return (by_row * index[:height, None] + plus) + by_column * index[:width]
