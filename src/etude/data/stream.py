"""A data set that stays in its files: worker processes decode batches ahead of the network.

The same images, order and random numbers as from a resident data set, so the same batches, unless
windows are cut early: then out of the images as they are in their files. However many workers there
are, the batches are the same. On CUDA the next batch is copied from pinned memory while the network
works on the one before.
"""

from __future__ import annotations

import atexit
import signal
import sys
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from etude.base.errors import UserError
from etude.base.side_stream import side_stream
from etude.data.augment.augment import Augment
from etude.data.batch import Batch, memory_format
from etude.data.input import Input, order_of
from etude.data.normalize import Normalize
from etude.data.shared import Shared
from etude.data.sources.decode import jpeg_decoder
from etude.data.sources.files import Files
from etude.data.windows import Windows

AHEAD = 2  # batches that each worker is asked for before they are wanted


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
        return self._batches(parts, self._input.draws(len(self), seed, epoch))

    def some(self, part: Tensor) -> Batch:
        """Give the images at the places `part` (N,) int64, without augmentation."""
        return next(self._batches([part.cpu()], None))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Give every image once, in the split's order, without augmentation."""
        return self._batches(torch.arange(len(self)).split(batch_size), None)

    def _batches(self, parts: Sequence[Tensor], draws: Tensor | None) -> Iterator[Batch]:
        """Make the batches of an epoch, with the random numbers of all of its images."""
        for part, pixels in zip(parts, self._decoded(parts, self._placed(draws)), strict=True):
            own = None if draws is None else draws[part].to(self.device, non_blocking=True)
            with _few_threads(self.workers):
                images = self._input(pixels, own)
            yield Batch(images, self.labels[part.to(self.device)])

    def _placed(self, draws: Tensor | None) -> Windows | None:
        """Place the windows of all images where they are cut out of the files; see `Files`."""
        if not self._files.cut_early:
            return None
        cut = self._input.windows(len(self), draws)
        return Windows.of(cut, self._input.side, self._files.interpolation)

    def _decoded(self, parts: Sequence[Tensor], windows: Windows | None) -> Iterator[Tensor]:
        """Decode parts, a batch (N, C, H, W) uint8 each, ahead of who wants them."""
        workers = min(self.workers, len(parts))
        forked = workers > 0 and sys.platform == "linux"
        if windows is not None:
            jpeg_decoder()
        size = self._input.side if windows is None else self._input.size
        room = self._room(workers, len(parts[0]), size) if forked else None
        loader = DataLoader(
            _Parts(self._files, parts, windows, size, room),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            # Python 3.14's own choice would import all anew in every worker of every epoch, and run
            # a script that calls us once more.
            multiprocessing_context="fork" if forked else None,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_leave_signals_to_the_parent,
            generator=torch.Generator(),  # else it draws from what dropout draws from
        )
        return _copied_ahead(_sound(loader, room), self.device)

    def _room(self, workers: int, images: int, size: int) -> Shared | None:
        """Make room for the batches that can be under way, and for the one that is in use.

        Where batches are copied to a device, they are pinned by whom they are handed over to.
        """
        if self.device.type == "cuda":
            return None
        return Shared(AHEAD * workers + 1, (images, self._files.shape[1], size, size))


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


class _Parts(Dataset[Tensor | int | UserError]):
    """An epoch's batches, by number; an error is given like one, as a loader would rewrite it.

    Where there is shared room for a batch, its number of images tells that it is there.
    """

    def __init__(
        self,
        files: Files,
        parts: Sequence[Tensor],
        windows: Windows | None,
        size: int,
        room: Shared | None,
    ) -> None:
        self._files = files
        self._parts = parts
        self._windows = windows
        self._size = size
        self._room = room

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Tensor | int | UserError:
        part = self._parts[index]
        place = None if self._room is None else self._room.at(index, len(part))
        try:
            made = self._made(part, place)
        except UserError as error:
            return error
        return made if place is None else len(part)

    def _made(self, part: Tensor, place: Tensor | None) -> Tensor:
        files = self._files[part]
        if self._windows is None:
            return files.tensor(place)
        return files.windows(self._windows.at(part), self._size, place)


def _sound(loader: DataLoader[Tensor | int | UserError], room: Shared | None) -> Iterator[Tensor]:
    """Pass batches on.

    Raises:
        UserError: One of its images could not be decoded.
        RuntimeError: A worker was killed.
    """
    batches = iter(loader)
    _at_work.add(batches)
    try:
        for number, batch in enumerate(batches):
            if isinstance(batch, UserError):
                # Not the error itself: in its traceback stands this frame, which would hold it.
                raise UserError(str(batch))
            yield batch if room is None else room.at(number, batch)
    except (ConnectionError, EOFError) as error:
        raise RuntimeError("DataLoader worker died handing over a batch") from error
    finally:
        _end_workers(batches)


_at_work: weakref.WeakSet[Any] = weakref.WeakSet()  # loaders whose workers may be alive


@atexit.register
def _end_all() -> None:
    """End all workers: the interpreter joins them at its end, and they ignore its SIGTERM.

    An error that nobody caught keeps its frames, and so a loader, until then.
    """
    for batches in list(_at_work):
        _end_workers(batches)


def _end_workers(batches: Any) -> None:
    if hasattr(batches, "_shutdown_workers"):  # one that decodes in this process has none
        batches._shutdown_workers()


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


def _leave_signals_to_the_parent(_: int) -> None:
    """Outlive a Ctrl-C, which reaches a whole group of processes, until the run has saved."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
