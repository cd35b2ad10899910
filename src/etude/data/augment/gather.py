"""Cut a window out of every image, each at its own place: what moves and crops a batch."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

LARGE = 2**16  # values of an image, of which a CPU's cache holds not many


def best_one_by_one(images: Tensor) -> bool:
    """Tell whether a CPU is faster with images (N, C, H, W) by themselves than together.

    Each then stays in the cache from one step to the next; small ones cost more to ask for.
    """
    return images.device.type == "cpu" and images[:1].numel() > LARGE


def windows(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """Cut one window out of every image.

    Whole rows are copied, in whichever memory format the images are: ten times as fast on a CPU as
    picking pixel by pixel.

    Args:
        images: (N, C, H, W), contiguous or channels-last.
        top: (N,) int64, the window's first row, from 0 to H - height.
        left: (N,) int64, its first column, from 0 to W - width.
        height: Of the windows.
        width: Of the windows.

    Returns:
        (N, C, height, width), in the memory format of the images.
    """
    n, channels, rows, columns = images.shape
    last = channels > 1 and images.is_contiguous(memory_format=torch.channels_last)
    planes, unit = (1, channels) if last else (channels, 1)
    stored = (images.permute(0, 2, 3, 1) if last else images).reshape(-1)
    starts = _lines(n * planes, height, rows * columns * unit, columns * unit, images.device)
    corner = (top * columns + left) * unit
    starts = starts.view(n, -1) + corner[:, None]
    length = width * unit
    # Every run of `length` values, one a starting point: they overlap, so nothing is copied yet.
    runs = stored.as_strided((stored.numel() - length + 1, length), (1, 1))
    cut = runs.index_select(0, starts.view(-1))
    if last:
        return cut.view(n, height, width, channels).permute(0, 3, 1, 2)
    return cut.view(n, channels, height, width)


# Most of a small batch's time is the start of one operation after the other, so what does not
# change from batch to batch is kept; an epoch's smaller last batch has entries of its own.
@lru_cache(maxsize=32)
def _lines(planes: int, height: int, plane: int, line: int, device: torch.device) -> Tensor:
    """Tell where the first `height` lines of every plane begin: (planes, height) int64."""
    first = torch.arange(planes, device=device) * plane
    return first[:, None] + torch.arange(height, device=device) * line


@lru_cache(maxsize=32)
def _room(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tell how far back and ahead every pixel may read: (size,) each, float32."""
    index = torch.arange(size, device=device, dtype=torch.float32)
    return -index, size - 1 - index


def central(images: Tensor, size: int) -> Tensor:
    """Cut the middle out of images (N, C, H, W): a view (N, C, size, size)."""
    top, left = ((side - size) // 2 for side in images.shape[-2:])
    return images[:, :, top : top + size, left : left + size]


def pad(images: Tensor, margin: int, constant: float | None) -> Tensor:
    """Add `margin` pixels to every side of images (N, C, H, W); None repeats the edge."""
    sides = (margin,) * 4
    if constant is None:
        return functional.pad(images, sides, mode="replicate")
    return functional.pad(images, sides, value=constant)


def crossed(rows: Tensor, columns: Tensor) -> Tensor:
    """Cross chosen rows (N, H) with chosen columns (N, W), both bool: (N, 1, H, W) of 0.0 and 1.0.

    As weights of `torch.lerp`, which at 0 and 1 gives either end exactly: on a CPU `masked_fill`
    takes seven times as long.
    """
    return rows.float()[:, None, :, None] * columns.float()[:, None, None, :]


def shift(
    images: Tensor, down: Tensor, right: Tensor, *, reach: int, constant: float | None
) -> Tensor:
    """Read every image at an offset, between pixels linearly.

    It equals `scipy.ndimage.affine_transform` with `order=1`, which Keras uses: in scipy's
    `constant` mode a position outside the pixels' centres is the constant, not blended with it.

    Args:
        images: (N, C, H, W).
        down: (N,) offsets in pixels: result row i shows row i + down.
        right: (N,) likewise for columns.
        reach: No offset is longer, in pixels.
        constant: What lies outside; None stands for the nearest pixel.

    Returns:
        (N, C, H, W).
    """
    height, width = images.shape[-2:]
    offsets = torch.stack((down, right))
    whole = offsets.floor()
    below, beside = (offsets - whole)[:, :, None, None, None]
    margin = reach + 1
    images = images.float()
    top, left = whole.long() + margin
    corners = windows(pad(images, margin, constant), top, left, height + 1, width + 1)
    between = torch.lerp(corners[:, :, :-1], corners[:, :, 1:], below)
    moved = torch.lerp(between[..., :-1], between[..., 1:], beside)
    if constant is None:
        return moved
    inside = crossed(_centred(down, height), _centred(right, width))
    if constant == 0:
        return moved.mul_(inside)
    return torch.lerp(moved.new_full((), constant), moved, inside)


def _centred(offset: Tensor, size: int) -> Tensor:
    """Tell which i + offset lie in [0, size - 1]: (N, size).

    The offset is held against whole numbers, as a sum would round it onto the edge.
    """
    offset = offset[:, None]
    return offset.clamp(*_room(size, offset.device)) == offset
