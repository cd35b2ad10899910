"""A data set that stays on the device as one tensor, and gives batches from it.

A batch is one gather: no workers, no copies from the host, and nothing that waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from etude.data.augment import Augment
from etude.data.batch import Batch
from etude.data.normalize import Normalize
from etude.data.source import Labelled
from etude.seeds import mix


class Resident:
    """Hold a split on the device.

    Args:
        data: The split, on any device.
        normalize: From pixels to the network's input.
        augment: Applied by `epoch`, not by `in_order`; None for evaluation splits.
        device: Where the images stay and the batches are made.
        channels_last: Memory format of the batches.
    """

    def __init__(
        self,
        data: Labelled,
        *,
        normalize: Normalize,
        augment: Augment | None,
        device: torch.device | str,
        channels_last: bool,
    ) -> None:
        self.device = torch.device(device)
        self.augment = augment
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        images = data.images.to(self.device).contiguous(memory_format=self.format)
        self.labels = data.labels.to(self.device)
        self.normalize = normalize.to(self.device).laid_out(images)
        # Flat, in the order of the format, as a gather would forget the strides.
        stored = images.permute(0, 2, 3, 1) if channels_last else images
        self._shape = stored.shape[1:]
        self._pixels = stored.reshape(len(images), -1)

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch_size: int) -> int:
        """Count an epoch's batches, a smaller last one included."""
        return -(-len(self) // batch_size)

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
        return Batch(self._input(pixels, own), self.labels.index_select(0, part))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        for pixels, labels in zip(
            self._pixels.split(batch_size), self.labels.split(batch_size), strict=True
        ):
            yield Batch(self._input(pixels, None), labels)

    def order(self, seed: int, epoch: int) -> Tensor:
        """Shuffle, on the CPU so that every device trains in the same order: (len,) int64."""
        generator = torch.Generator().manual_seed(mix(seed, "order", epoch))
        return torch.randperm(len(self), generator=generator).to(self.device)

    def draws(self, seed: int, epoch: int) -> Tensor | None:
        """Draw every image's random numbers, by its place in the split: (len, K)."""
        if self.augment is None or self.augment.draws == 0:
            return None
        generator = torch.Generator().manual_seed(mix(seed, "augment", epoch))
        return torch.rand(len(self), self.augment.draws, generator=generator).to(self.device)

    def _input(self, pixels: Tensor, draws: Tensor | None) -> Tensor:
        """Turn flat pixels (N, ...) uint8 into a batch, in the memory format that was asked."""
        images = pixels.view(-1, *self._shape)
        if self.format is torch.channels_last:
            images = images.permute(0, 3, 1, 2)
        if self.augment is None or draws is None:
            images = self.normalize(images)
        elif self.augment.after_normalize:
            images = self.augment(self.normalize(images), draws)
        else:
            images = self.normalize(self.augment(images.float(), draws))
        return images.contiguous(memory_format=self.format)
