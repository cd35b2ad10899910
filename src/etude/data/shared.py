"""Memory that forked processes share with this one: a batch is read where it was decoded."""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor


class Shared:
    """Room for a few batches of images, one after the other, and then again from the first.

    It belongs to no file system, so that a small /dev/shm, as containers have it, does not bound
    it.

    Args:
        batches: How many there is room for.
        shape: Of the largest, (N, C, H, W).
    """

    def __init__(self, batches: int, shape: tuple[int, int, int, int]) -> None:
        images, channels, height, width = shape
        memory = mmap.mmap(-1, batches * math.prod(shape))  # anonymous, and shared by a fork
        stored = torch.frombuffer(memory, dtype=torch.uint8)
        self._room = stored.view(batches, images, height, width, channels).permute(0, 1, 4, 2, 3)

    def at(self, number: int, images: int) -> Tensor:
        """Give the place of an epoch's batch by its number: (images, C, H, W), channels-last."""
        return self._room[number % len(self._room), :images]
