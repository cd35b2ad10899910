"""Bring a whole data set to another size, once, before training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from etude.base.errors import UserError
from etude.base.text import counted

IMAGE_INTERPOLATIONS = ("bilinear", "nearest", "pad")
CHUNK_BYTES = 64 * 2**20  # of float32 in flight, whatever the data set's size


def resize(images: Tensor, size: int | None, interpolation: str) -> Tensor:
    """Resize square images.

    Args:
        images: (N, C, H, H) uint8.
        size: The new side in pixels; None keeps the old one.
        interpolation: `bilinear`, antialiased where it shrinks; `nearest`, PIL's but for ties;
            `pad`, zeros around the image, one more below and right when the difference is odd.

    Returns:
        (N, C, size, size) uint8; the very same tensor where there is nothing to do.

    Raises:
        UserError: The interpolation is unknown, or `pad` would have to shrink.
    """
    side = images.shape[-1]
    if size is None or size == side:  # or image files have been decoded at that size
        return images
    if interpolation not in IMAGE_INTERPOLATIONS:
        raise UserError(
            f"dataset.interpolation={interpolation} does not resize images in memory; "
            f"use {', '.join(IMAGE_INTERPOLATIONS)}"
        )
    if interpolation == "pad":
        return _pad(images, size)
    resized = images.new_empty(*images.shape[:2], size, size)
    per_chunk = max(1, CHUNK_BYTES // (4 * images.shape[1] * max(size, side) ** 2))
    for source, target in zip(images.split(per_chunk), resized.split(per_chunk), strict=True):
        target.copy_(_interpolate(source, size, interpolation))
    return resized


def _interpolate(images: Tensor, size: int, interpolation: str) -> Tensor:
    if interpolation == "nearest":
        # The pixel under each new centre, floor((i + ½)·side / size), in whole numbers: a centre
        # between two pixels takes the later one, where PIL's rounding errors decide.
        centres = (2 * torch.arange(size) + 1) * images.shape[-1] // (2 * size)
        return images[:, :, centres][:, :, :, centres]
    bilinear = functional.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
    return bilinear.round_().clamp_(0, 255).to(torch.uint8)


def _pad(images: Tensor, size: int) -> Tensor:
    margin = size - images.shape[-1]
    if margin < 0:
        raise UserError(
            f"dataset.input_size={size} is less than the images' "
            f"{counted(images.shape[-1], 'pixel')}, and "
            "dataset.interpolation=pad cannot shrink; use bilinear or nearest"
        )
    before, after = margin // 2, margin - margin // 2
    return functional.pad(images, (before, after, before, after))
