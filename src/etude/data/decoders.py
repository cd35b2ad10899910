"""Processes that decode batches of images ahead of who wants them, epoch after epoch."""

from __future__ import annotations

import atexit
import signal
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from etude.base.errors import UserError
from etude.base.processes import die_with_parent
from etude.data.shared import Shared
from etude.data.sources.decode import Window, jpeg_decoder
from etude.data.sources.files import Files
from etude.data.windows import Windows

AHEAD = 8  # batches that are asked for before they are wanted
AHEAD_EACH = 2  # of each worker, at least
_PATIENCE = 1.0  # seconds that the system has to kill a worker


def ahead(workers: int) -> int:
    """Tell how many batches each worker is asked for before they are wanted.

    They are given in their order, so that one that is slow for a while holds the others up where
    they are not some batches ahead.
    """
    return max(AHEAD_EACH, AHEAD // max(1, workers))


class Decoders:
    """Decode the batches of epochs.

    Args:
        files: The images.
        size: Side of what is made of each, in pixels.
        workers: Processes that decode; 0 decodes in this one.
        images: Of the largest batch.
        is_pinned: Whether batches are wanted in pinned memory.
    """

    def __init__(
        self, files: Files, size: int, workers: int, images: int, *, is_pinned: bool
    ) -> None:
        forked = workers > 0 and sys.platform == "linux"
        self._workers, self._images = workers, images
        # Room for the batches that can be under way, and for the one that is in use. Where they are
        # pinned, they come to another place anyway.
        shape, each = (images, files.shape[1], size, size), ahead(workers)
        self._room = Shared(each * workers + 1, shape) if forked and not is_pinned else None
        self._wanted = _Wanted()
        self._loader = DataLoader(
            _Decoded(files, size, self._room),
            batch_size=None,
            sampler=self._wanted,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=each if workers else None,
            # Python 3.14's own choice would import all anew in every worker, and run a script that
            # calls us once more.
            multiprocessing_context="fork" if forked else None,
            pin_memory=is_pinned,
            worker_init_fn=_follow_the_parent,
            generator=torch.Generator(),  # else it draws from what dropout draws from
        )

    def suffice(self, workers: int, images: int) -> bool:
        """Tell whether there are as many processes, and room for batches of so many images."""
        return self._workers >= workers and self._images >= images

    def epoch(self, parts: Sequence[Tensor], windows: Windows | None) -> Iterator[Tensor]:
        """Decode the images at the places `parts`, a batch (N, C, H, W) uint8 each.

        A batch is to be read before the next one is asked for. After the last one, another epoch
        may follow; one that was left, or failed, is to be the last.

        Raises:
            UserError: An image could not be decoded.
            RuntimeError: A process was killed.
        """
        if windows is not None:
            jpeg_decoder()
        self._wanted.batches = (
            _Part(number, part.tolist(), None if windows is None else windows.at(part))
            for number, part in enumerate(parts)
        )
        try:
            batches = iter(self._loader)
            _at_work.add(batches)
            for number, batch in enumerate(batches):
                if isinstance(batch, UserError):
                    # Not the error itself: in its traceback stands this frame, which would hold it.
                    raise UserError(str(batch))
                yield batch if self._room is None else self._room.at(number, batch)
        except (ConnectionError, EOFError) as error:
            raise RuntimeError("DataLoader worker died handing over a batch") from error

    def end(self) -> None:
        """End the processes."""
        _end_workers(getattr(self._loader, "_iterator", None))


class _Part(NamedTuple):
    """A batch that is wanted.

    Attributes:
        number: In its epoch.
        places: Of its images.
        windows: Of its images, where they are cut out of the files.
    """

    number: int
    places: list[int]
    windows: list[Window] | None


class _Wanted:
    """What a loader asks its workers for, in each epoch anew."""

    batches: Iterable[_Part] = ()

    def __iter__(self) -> Iterator[_Part]:
        return iter(self.batches)


class _Decoded(Dataset[Tensor | int | UserError]):
    """Batches of an epoch; an error is given like one, as a loader would rewrite it.

    Where there is shared room for a batch, its number of images tells that it is there.
    """

    def __init__(self, files: Files, size: int, room: Shared | None) -> None:
        self._files = files
        self._size = size
        self._room = room

    def __getitem__(self, part: _Part) -> Tensor | int | UserError:
        images = len(part.places)
        place = None if self._room is None else self._room.at(part.number, images)
        try:
            made = self._made(part, place)
        except UserError as error:
            return error
        return made if place is None else images

    def _made(self, part: _Part, place: Tensor | None) -> Tensor:
        files = self._files[torch.tensor(part.places)]
        if part.windows is None:
            return files.tensor(place)
        return files.windows(part.windows, self._size, place)


_at_work: weakref.WeakSet[Any] = weakref.WeakSet()  # loaders whose workers may be alive


@atexit.register
def _end_all() -> None:
    """End all workers: the interpreter joins them at its end, and they ignore its SIGTERM.

    An error that nobody caught keeps its frames, and so a loader, until then.
    """
    for batches in list(_at_work):
        _end_workers(batches)


def _end_workers(batches: Any) -> None:
    """End a loader's workers, and kill those that do not end: stopped, or waiting for a disk.

    A Ctrl-C meanwhile hastens it, and goes no further: whoever ends an epoch before its time is on
    the way out, and an error here would be one that nobody can catch.
    """
    if not hasattr(batches, "_shutdown_workers"):  # one that decodes in this process has none
        return
    try:
        batches._shutdown_workers()
    except KeyboardInterrupt:
        pass
    finally:
        for worker in batches._workers:
            if worker.is_alive():
                worker.kill()
                worker.join(_PATIENCE)


def _follow_the_parent(_: int) -> None:
    """Outlive a Ctrl-C, which reaches a whole group of processes, until the run has saved.

    And nothing else: what the run had locked is locked as long as one of its children lives.
    """
    die_with_parent(signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
