"""From a batch's pixels to a network's input, and the random numbers that decide an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from etude.base.seeds import mix
from etude.data.augment.augment import Augment
from etude.data.augment.crop import Cut, middle
from etude.data.augment.gather import central
from etude.data.batch import memory_format
from etude.data.normalize import Normalize

# Of float32, on a CPU: what is between two operations stays in its cache, and is not asked of the
# system anew for every one. No image's bits depend on the others that are changed with it.
CHUNK_BYTES = 4 * 2**20


def order_of(images: int, seed: int, epoch: int) -> Tensor:
    """Shuffle, on the CPU so that every device trains in the same order: (images,) int64."""
    generator = torch.Generator().manual_seed(mix(seed, "order", epoch))
    return torch.randperm(images, generator=generator)


class Input:
    """Cut, augment and normalise batches, in the memory format that a network wants.

    Args:
        normalize: From pixels to the network's input, fitted to whole images.
        augment: Applied where there are random numbers; None for evaluation splits.
        like: One image (1, C, H, W) uint8 on the device, in the memory format of the batches.
        size: Side of what the network sees, in pixels; None for whole images.
        is_cut: Whether images come as the windows that `windows` placed.
    """

    def __init__(
        self,
        normalize: Normalize,
        augment: Augment | None,
        like: Tensor,
        size: int | None = None,
        *,
        is_cut: bool = False,
    ) -> None:
        self.augment = augment
        self.side = like.shape[-1]
        self.size = size or self.side
        self.is_cut = is_cut
        seen = central(like, self.size)
        self.normalize = normalize.to(like.device).cut(self.size).laid_out(seen)
        last = like.is_contiguous(memory_format=torch.channels_last)
        self.format = memory_format(channels_last=last)

    @property
    def draws_any(self) -> bool:
        """Whether random numbers change what becomes of an image."""
        return self.augment is not None and self.augment.draws > 0

    def draws(self, images: int, seed: int, epoch: int) -> Tensor | None:
        """Draw every image's random numbers, by its place in the split: (images, K) on the CPU."""
        if self.augment is None or not self.draws_any:
            return None
        generator = torch.Generator().manual_seed(mix(seed, "augment", epoch))
        return torch.rand(images, self.augment.draws, generator=generator)

    def windows(self, images: int, draws: Tensor | None) -> Cut:
        """Place what is seen in so many images of which nothing but the side is known."""
        if self.augment is None or draws is None:
            return middle(images, self.side, self.size)
        return self.augment.windows(draws, self.side, self.size)

    def __call__(self, images: Tensor, draws: Tensor | None) -> Tensor:
        """Turn images (N, C, H, W) uint8 into a batch, augmented with draws (N, K) if given."""
        shape = (len(images), images.shape[1], self.size, self.size)
        made = torch.empty(shape, device=images.device, memory_format=self.format)
        few = max(1, CHUNK_BYTES // (4 * images[0].numel()))
        few = few if images.device.type == "cpu" else len(images)
        for start in range(0, len(images), few):
            part = slice(start, start + few)
            self._fill(made[part], images[part], None if draws is None else draws[part])
        return made

    def _fill(self, made: Tensor, images: Tensor, draws: Tensor | None) -> None:
        """Turn images into a part of the batch, in its place, as a copy costs time."""
        if self.augment is None or draws is None:
            self.normalize(central(images, self.size), out=made)
            return
        images = images if self.is_cut else self.augment.cut(images, draws, self.size)
        if self.augment.after_normalize:
            made.copy_(self.augment(self.normalize(images), draws))
        else:
            self.normalize(self.augment(images, draws), out=made)
