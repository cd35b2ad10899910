"""A data set that stays on the device as one tensor, and gives batches from it.

A batch is one gather: no workers, no copies from the host, and nothing that waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from etude.data.augment.augment import Augment
from etude.data.batch import Batch, memory_format
from etude.data.input import Input, order_of
from etude.data.normalize import Normalize

_PART = 4096  # images that are laid out on the device at a time


class Resident:
    """Hold a split on the device.

    Args:
        images: (N, C, H, W) uint8, on any device.
        labels: (N,) int64.
        normalize: From pixels to the network's input.
        augment: Applied by `epoch`, not by `in_order`; None for evaluation splits.
        device: Where the images stay and the batches are made.
        channels_last: Memory format of the batches.
        size: Side of what the network sees of them, in pixels; None for whole images.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        normalize: Normalize,
        augment: Augment | None,
        device: torch.device | str,
        channels_last: bool,
        size: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self._last = channels_last
        layout = memory_format(channels_last=channels_last)
        images = lay_out(images, self.device, layout)
        self.labels = labels.to(self.device)
        self._input = Input(normalize, augment, images[:1], size)
        # Flat, in the order of the format, as a gather would forget the strides.
        stored = images.permute(0, 2, 3, 1) if channels_last else images
        self._shape = stored.shape[1:]
        self._pixels = stored.reshape(len(images), -1)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def varies(self) -> bool:
        """Whether an image is another one in every epoch."""
        return self._input.draws_any

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start_batch: int = 0
    ) -> Iterator[Batch]:
        """Give every image once, shuffled and augmented.

        The order and every image's random numbers are functions of (seed, epoch): an epoch that
        starts at a later batch gives the same batches from there on, at no cost for the others.

        Args:
            seed: The run's.
            epoch: Counted from 0.
            batch_size: Images a batch; the last one may be smaller.
            start_batch: Batches that are passed over.
        """
        order = self.order(seed, epoch)
        draws = self.draws(seed, epoch)
        for start in range(start_batch * batch_size, len(self), batch_size):
            yield self.batch(order[start : start + batch_size], draws)

    def batch(self, part: Tensor, draws: Tensor | None) -> Batch:
        """Gather and augment the images at the places `part` (N,) int64.

        Args:
            part: Places in the split.
            draws: All of the epoch's random numbers, as `draws` gives them.
        """
        pixels = self._pixels.index_select(0, part)
        own = None if draws is None else draws.index_select(0, part)
        return Batch(self._input(self._laid_out(pixels), own), self.labels.index_select(0, part))

    def some(self, part: Tensor) -> Batch:
        """Give the images at the places `part` (N,) int64, without augmentation."""
        return self.batch(part, None)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        for pixels, labels in zip(
            self._pixels.split(batch_size), self.labels.split(batch_size), strict=True
        ):
            yield Batch(self._input(self._laid_out(pixels), None), labels)

    def order(self, seed: int, epoch: int) -> Tensor:
        """Shuffle an epoch: (len,) int64 on the device."""
        return order_of(len(self), seed, epoch).to(self.device)

    def draws(self, seed: int, epoch: int) -> Tensor | None:
        """Draw every image's random numbers, by its place in the split: (len, K) on the device."""
        draws = self._input.draws(len(self), seed, epoch)
        return None if draws is None else draws.to(self.device)

    def _laid_out(self, pixels: Tensor) -> Tensor:
        """See flat pixels (N, ...) as images (N, C, H, W) again."""
        images = pixels.view(-1, *self._shape)
        return images.permute(0, 3, 1, 2) if self._last else images


def lay_out(images: Tensor, device: torch.device, layout: torch.memory_format) -> Tensor:
    """Put images (N, C, H, W) on a device in a memory format, as they are if they are there.

    Part by part where the format changes on the way: else the device would hold them twice.
    """
    if images.device == device or images.is_contiguous(memory_format=layout):
        return images.to(device).contiguous(memory_format=layout)
    laid_out = torch.empty_like(images, device=device, memory_format=layout)
    for part, made in zip(images.split(_PART), laid_out.split(_PART), strict=True):
        made.copy_(part.to(device))
    return laid_out
