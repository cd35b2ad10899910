"""Images that stay in their files until a batch wants them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from etude.base.errors import UserError
from etude.base.lazy import np, torch
from etude.data.sources.decode import Form, Window, read_image, read_window


class Files:
    """Stand in for a tensor of images (N, 3, size, size) uint8 that is larger than the memory.

    What a file looks like from outside is noted at once, and one that looks otherwise when it is
    decoded is refused: an epoch later a run would learn from other images than it is known by.

    Args:
        paths: N image files.
        form: What each becomes.
        digest: Stands for the data set that they belong to.
        cut_early: Whether a window is cut out of the image as it is in its file, not out of the
            square of `form`.
        marks: What `paths` looked like before; None looks at them.
    """

    def __init__(
        self,
        paths: Sequence[str],
        form: Form,
        *,
        digest: str,
        cut_early: bool = False,
        marks: Any = None,
    ) -> None:
        # Blocks of memory, which worker processes can share.
        self._paths = np.array(paths)
        self._marks = np.array([_mark(path) for path in paths]) if marks is None else marks
        self.digest = digest
        self.cut_early = cut_early
        self._form = form

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Give (N, 3, size, size)."""
        return len(self), 3, self._form.size, self._form.size

    @property
    def interpolation(self) -> str:
        """Tell what brings an image to its size."""
        return self._form.interpolation

    def __getitem__(self, places: Any) -> Files:
        """Choose the images at some places: int64 (n,), or a slice."""
        at = places if isinstance(places, slice) else places.numpy()
        paths: Any = self._paths[at]
        digest, cut, marks = self.digest, self.cut_early, self._marks[at]
        return Files(paths, self._form, digest=digest, cut_early=cut, marks=marks)

    def tensor(self, out: torch.Tensor | None = None) -> torch.Tensor:
        """Decode all images, in this thread: (N, 3, size, size) uint8, channels-last, or `out`.

        Raises:
            UserError: One cannot be decoded, or has changed.
        """
        images = _pixels(self.shape) if out is None else out
        stored = images.permute(0, 2, 3, 1).numpy()
        for place, path in zip(stored, self._unchanged(), strict=True):
            place[:] = read_image(path, self._form)
        return images

    def windows(
        self, windows: Sequence[Window], size: int, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Cut one window out of every image, in this thread.

        Args:
            windows: One an image.
            size: Side that they are brought to.
            out: Where they are wanted.

        Returns:
            (N, 3, size, size) uint8, channels-last, or `out`.

        Raises:
            UserError: One cannot be decoded, or has changed.
        """
        images = _pixels((len(self), 3, size, size)) if out is None else out
        for image, path, window in zip(images, self._unchanged(), windows, strict=True):
            image.copy_(read_window(path, window, self._form, size))
        return images

    def _unchanged(self) -> Iterator[str]:
        for path, mark in zip(self._paths.tolist(), self._marks.tolist(), strict=True):
            now = _mark(path)
            if any(now) and now != tuple(mark):
                raise UserError(
                    f"{path} has changed since the run read it first; put it back and give the "
                    "same command again, or let the changed images be a run of their own"
                )
            yield path


def _mark(path: str) -> tuple[int, int, int]:
    """Tell what a file looks like from outside: size, time of change of its content, and inode."""
    try:
        status = os.stat(path)  # noqa: PTH116 (as a Path it takes several times as long)
    except OSError:  # which decoding it will tell of
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ino


def _pixels(shape: tuple[int, int, int, int]) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
