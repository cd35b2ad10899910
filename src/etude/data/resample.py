"""Bring one window of every image, each its own, to one size: each axis by itself.

A pixel's centre is half a pixel from its edge, as for PyTorch's `interpolate` without aligned
corners; nothing is smoothed where an image shrinks (`antialias=False`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

WINDOW_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


class Span(NamedTuple):
    """Where windows lie on an axis, in pixels from the image's edge.

    Attributes:
        start: (N,) float64, the window's edge.
        length: (N,) float64.
        first: (N,) int64, the first pixel that may be read; what lies before repeats it.
        last: (N,) int64, the last one.
    """

    start: Tensor
    length: Tensor
    first: Tensor
    last: Tensor


class Taps(NamedTuple):
    """Which pixels of an axis are read for each new one: weights[..., k] goes with first + k."""

    first: Tensor
    weights: Tensor


def resample(images: Tensor, rows: Span, columns: Span, size: int, kind: str | Tensor) -> Tensor:
    """Resize windows, positions in float64: rounded to float32 they would differ by device.

    Args:
        images: (N, C, H, W), 0 to 255.
        rows: The windows' rows.
        columns: Their columns.
        size: Side of the result.
        kind: One of `WINDOW_INTERPOLATIONS` for all, or the place in it of every image's own, (N,)
            int64.

    Returns:
        (N, C, size, size) float32, 0 to 255, which a bicubic interpolation may not leave.
    """
    # The columns become rows and rows again: whole rows can be read, which is many times faster.
    across = _along(images.mT.float(), columns, _taps(columns, size, kind))
    result = _along(across.mT, rows, _taps(rows, size, kind))
    return result if kind in ("nearest", "bilinear") else result.clamp(0, 255)


def _along(images: Tensor, span: Span, taps: Taps) -> Tensor:
    """Resample the rows of images (N, C, H, W): (N, C, size, W)."""
    n, channels, height, width = images.shape
    taps_each = taps.weights.shape[-1]
    places = taps.first[..., None] + torch.arange(taps_each, device=images.device)
    first, last = span.first[:, None, None], span.last[:, None, None]
    places = torch.minimum(torch.maximum(places, first), last)
    planes = torch.arange(n * channels, device=images.device).view(n, channels, 1, 1) * height
    # What embeddings are made for is what is needed here: weighted sums of a table's rows.
    sums = functional.embedding_bag(
        (planes + places[:, None]).view(-1, taps_each),
        images.reshape(-1, width),
        mode="sum",
        per_sample_weights=_for_planes(taps.weights, channels).reshape(-1, taps_each),
    )
    return sums.view(n, channels, -1, width)


def _for_planes(taps: Tensor, channels: int) -> Tensor:
    """Repeat what is the images' own for their channels: (N, size, K) to (N, C, size, K)."""
    return taps[:, None].expand(-1, channels, -1, -1)


def _taps(span: Span, size: int, kind: str | Tensor) -> Taps:
    """Find the pixels around the centres of `size` new ones."""
    centres = torch.arange(size, device=span.start.device, dtype=torch.float64) + 0.5
    places = span.start[:, None] + centres * (span.length[:, None] / size) - 0.5
    if kind == "nearest":
        nearest = (places + 0.5).floor()
        return Taps(nearest.long(), torch.ones_like(nearest, dtype=torch.float32)[..., None])
    whole = places.floor()
    part = (places - whole).float()
    if kind == "bilinear":
        return Taps(whole.long(), torch.stack((1 - part, part), dim=-1))
    weights = _cubic(part)
    if isinstance(kind, Tensor):
        weights = _chosen(part, weights, kind[:, None, None])
    return Taps(whole.long() - 1, weights)


def _cubic(part: Tensor) -> Tensor:
    """Weigh four pixels by Keys's kernel with a = -0.75, which PyTorch's bicubic has."""
    a = -0.75

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return torch.stack((far(part + 1), near(part), near(1 - part), far(2 - part)), dim=-1)


def _chosen(part: Tensor, cubic: Tensor, kind: Tensor) -> Tensor:
    """Put every image's own interpolation, kind (N, 1, 1), into weights of four pixels."""
    zero = torch.zeros_like(part)
    after = (part >= 0.5).float()
    nearest = torch.stack((zero, 1 - after, after, zero), dim=-1)
    linear = torch.stack((zero, 1 - part, part, zero), dim=-1)
    return torch.where(kind == 0, nearest, torch.where(kind == 1, linear, cubic))
