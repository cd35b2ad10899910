"""Pick pixels by row and column, each image by its own: what moves, crops and flips a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def take(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pick the pixels at every pair of a row and a column; those outside give the nearest edge.

    Args:
        images: (N, C, H, W).
        rows: (N, h) int64.
        columns: (N, w) int64.

    Returns:
        (N, C, h, w).
    """
    n, channels, height, width = images.shape
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    # One flat index for all channels: four times faster on a CPU than indexing by four tensors.
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    picked = images.flatten(2).gather(2, flat.expand(-1, channels, -1))
    return picked.view(n, channels, rows.shape[1], columns.shape[1])


def crossed(rows: Tensor, columns: Tensor) -> Tensor:
    """Cross chosen rows (N, H) with chosen columns (N, W), both bool: (N, 1, H, W) of 0.0 and 1.0.

    As weights of `torch.lerp`, which at 0 and 1 gives either end exactly: on a CPU `masked_fill`
    takes seven times as long.
    """
    return rows.float()[:, None, :, None] * columns.float()[:, None, None, :]


def within(positions: Tensor, size: int) -> Tensor:
    """Tell which positions, of any shape, lie in an image `size` pixels long."""
    return (positions >= 0) & (positions < size)


def shift(images: Tensor, down: Tensor, right: Tensor, *, constant: float | None) -> Tensor:
    """Read every image at an offset, between pixels linearly.

    It equals `scipy.ndimage.affine_transform` with `order=1`, which Keras uses: in scipy's
    `constant` mode a position outside the pixels' centres is the constant, not blended with it.

    Args:
        images: (N, C, H, W).
        down: (N,) offsets in pixels: result row i shows row i + down.
        right: (N,) likewise for columns.
        constant: What lies outside; None stands for the nearest pixel.

    Returns:
        (N, C, H, W).
    """
    height, width = images.shape[-2:]
    rows, columns = _cells(down, height), _cells(right, width)
    corners = take(images, rows, columns)  # (N, C, H + 1, W + 1)
    below = (down - down.floor())[:, None, None, None]
    beside = (right - right.floor())[:, None, None, None]
    between = torch.lerp(corners[:, :, :-1], corners[:, :, 1:], below)
    moved = torch.lerp(between[..., :-1], between[..., 1:], beside)
    if constant is None:
        return moved
    inside = crossed(_centred(down, height), _centred(right, width))
    return torch.lerp(moved.new_full((), constant), moved, inside)


def _cells(offset: Tensor, size: int) -> Tensor:
    """Give the size + 1 pixels whose neighbours are blended: (N, size + 1)."""
    return offset.floor().long()[:, None] + torch.arange(size + 1, device=offset.device)


def _centred(offset: Tensor, size: int) -> Tensor:
    """Tell which i + offset lie in [0, size - 1]: (N, size).

    The offset is held against whole numbers, as a sum would round it onto the edge.
    """
    index = torch.arange(size, device=offset.device)
    return (offset[:, None] >= -index) & (offset[:, None] <= size - 1 - index)
