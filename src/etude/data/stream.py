"""A data set that stays in its files: worker processes decode batches ahead of the network.

The same images, order and random numbers as from a resident data set, so the same batches, unless
windows are cut early: then out of the images as they are in their files. However many workers there
are, the batches are the same. On CUDA the next batch is copied from pinned memory while the network
works on the one before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from etude.base.side_stream import side_stream
from etude.data.augment.augment import Augment
from etude.data.batch import Batch, memory_format
from etude.data.decoders import Decoders
from etude.data.input import Input, order_of
from etude.data.normalize import Normalize
from etude.data.sources.files import Files
from etude.data.windows import Windows


class Stream:
    """Read a split's batches from files.

    Args:
        images: The split's.
        labels: (N,) int64.
        normalize: From pixels to the network's input.
        augment: Applied by `epoch`, not by `in_order`; None for evaluation splits.
        device: Where the batches are wanted.
        channels_last: Memory format of the batches.
        workers: Processes that decode; 0 decodes in this one.
        size: Side of what the network sees of them, in pixels; None for whole images.
    """

    def __init__(
        self,
        images: Files,
        labels: Tensor,
        *,
        normalize: Normalize,
        augment: Augment | None,
        device: torch.device | str,
        channels_last: bool,
        workers: int,
        size: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.labels = labels.to(self.device)
        self.workers = workers
        self._files = images
        self._kept: Decoders | None = None
        layout = memory_format(channels_last=channels_last)
        like = torch.zeros(1, *images.shape[1:], dtype=torch.uint8, device=self.device)
        like = like.contiguous(memory_format=layout)
        self._input = Input(normalize, augment, like, size, is_cut=images.cut_early)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def varies(self) -> bool:
        """Whether an image is another one in every epoch."""
        return self._input.draws_any

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start_batch: int = 0
    ) -> Iterator[Batch]:
        """Give every image once, shuffled and augmented; see `Resident.epoch`."""
        parts = order_of(len(self), seed, epoch).split(batch_size)[start_batch:]
        return self._batches(parts, self._input.draws(len(self), seed, epoch), keeps=True)

    def some(self, part: Tensor) -> Batch:
        """Give the images at the places `part` (N,) int64, without augmentation."""
        return next(self._batches([part.cpu()], None))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        return self._batches(torch.arange(len(self)).split(batch_size), None)

    def _batches(
        self, parts: Sequence[Tensor], draws: Tensor | None, *, keeps: bool = False
    ) -> Iterator[Batch]:
        """Make the batches of an epoch, with the random numbers of all of its images."""
        decoded = self._decoded(parts, self._placed(draws), keeps=keeps)
        # Once an epoch: the host would wait for every copy that is not from pinned memory.
        places = torch.cat([*parts]).to(self.device).split([len(part) for part in parts])
        draws = None if draws is None else draws.to(self.device)
        for part, pixels in zip(places, decoded, strict=True):
            own = None if draws is None else draws.index_select(0, part)
            with _few_threads(self.workers):
                images = self._input(pixels, own)
            yield Batch(images, self.labels.index_select(0, part))

    def _placed(self, draws: Tensor | None) -> Windows | None:
        """Place the windows of all images where they are cut out of the files; see `Files`."""
        if not self._files.cut_early:
            return None
        cut = self._input.windows(len(self), draws)
        return Windows.of(cut, self._input.side, self._files.interpolation)

    def _decoded(
        self, parts: Sequence[Tensor], windows: Windows | None, *, keeps: bool = False
    ) -> Iterator[Tensor]:
        """Decode parts, a batch (N, C, H, W) uint8 each, ahead of who wants them.

        Args:
            parts: The places of each batch's images.
            windows: Of all images, where they are cut out of the files.
            keeps: Whether the processes that decode are kept for another time: each time they are
                forked, this process pays for what it writes after that.
        """
        decoders = self._decoders(min(self.workers, len(parts)), len(parts[0]), keeps=keeps)
        is_kept = False
        try:
            batches = _copied_ahead(decoders.epoch(parts, windows), self.device)
            for number, batch in enumerate(batches, 1):
                if keeps and number == len(parts):  # after which nobody need ask for another
                    self._kept, is_kept = decoders, True
                yield batch
        finally:  # an epoch may be left, or fail
            if not is_kept:
                decoders.end()

    def _decoders(self, workers: int, images: int, *, keeps: bool) -> Decoders:
        """Take those that are kept, if they do, or make others for batches of so many images."""
        if keeps and self._kept is not None:
            kept, self._kept = self._kept, None  # nobody else may take them meanwhile
            if kept.suffice(workers, images):
                return kept
            kept.end()
        size = self._input.size if self._files.cut_early else self._input.side
        is_pinned = self.device.type == "cuda"
        return Decoders(self._files, size, workers, images, is_pinned=is_pinned)


@contextmanager
def _few_threads(workers: int) -> Generator[None]:
    """Leave the cores to the workers while a batch is augmented: threads would wait for each other.

    It changes no bit of what is done to every pixel by itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if workers else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _copied_ahead(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Bring batches to the device, each while the one before is still in use."""
    if device.type != "cuda":
        yield from batches
        return
    side = side_stream(device)
    ready = _copy(batches, device, side)
    while ready is not None:
        torch.cuda.current_stream(device).wait_stream(side)
        # Its memory must not go to the next copy before the network's stream is done with it.
        ready.record_stream(torch.cuda.current_stream(device))
        following = _copy(batches, device, side)
        yield ready
        ready = following


def _copy(batches: Iterator[Tensor], device: torch.device, side: Any) -> Tensor | None:
    batch = next(batches, None)
    if batch is None:
        return None
    with torch.cuda.stream(side):
        return batch.to(device, non_blocking=True)
