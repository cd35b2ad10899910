"""What a split gives to the loop, whether it stays on the device or is streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """A network's input (N, C, H, W) float32, and its labels (N,) int64."""

    images: Tensor
    labels: Tensor


class Split(Protocol):
    """Images with their labels, given in batches on the device."""

    def __len__(self) -> int:
        """Count the images."""
        ...

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start_batch: int = 0
    ) -> Iterator[Batch]:
        """Give every image once, shuffled and augmented; see `Resident.epoch`."""
        ...

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        ...
