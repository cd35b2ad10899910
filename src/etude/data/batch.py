"""What a split gives to the loop, whether it stays on the device or is streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


def memory_format(*, channels_last: bool) -> torch.memory_format:
    """Give the format in which batches, and the network's weights with them, lie in memory."""
    return torch.channels_last if channels_last else torch.contiguous_format


class Batch(NamedTuple):
    """A network's input (N, C, H, W) float32, and its labels (N,) int64."""

    images: Tensor
    labels: Tensor


class Ordered(Protocol):
    """Images with their labels, given in their own order, in batches on the device."""

    def __len__(self) -> int:
        """Count the images."""
        ...

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        ...


class Split(Ordered, Protocol):
    """Such images that can also be shuffled and augmented."""

    @property
    def varies(self) -> bool:
        """Whether an image is another one in every epoch."""
        ...

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start_batch: int = 0
    ) -> Iterator[Batch]:
        """Give every image once, shuffled and augmented; see `Resident.epoch`."""
        ...

    def some(self, part: Tensor) -> Batch:
        """Give the images at the places `part` (N,) int64, without augmentation."""
        ...


@runtime_checkable
class Gathered(Split, Protocol):
    """A split that stays on the device, where any batch is a gather that nobody waits for."""

    def batch(self, part: Tensor, draws: Tensor | None) -> Batch:
        """Give the images at the places `part` (N,) int64; see `Resident.batch`."""
        ...

    def order(self, seed: int, epoch: int) -> Tensor:
        """Shuffle an epoch: (len,) int64 on the device."""
        ...

    def draws(self, seed: int, epoch: int) -> Tensor | None:
        """Draw every image's random numbers, (len, K) on the device; None where none are wanted."""
        ...
