"""Images that stay in their files until a batch wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etude.base.lazy import np, torch
from etude.data.sources.decode import Form, Window, read_image, read_window


class Files:
    """Stand in for a tensor of images (N, 3, size, size) uint8 that is larger than the memory.

    Args:
        paths: N image files.
        form: What each becomes.
        digest: Stands for the data set that they belong to.
        cut_early: Whether a window is cut out of the image as it is in its file, not out of the
            square of `form`.
    """

    def __init__(
        self, paths: Sequence[str], form: Form, *, digest: str, cut_early: bool = False
    ) -> None:
        self._paths = np.array(paths)  # one block of memory, which worker processes can share
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
        paths: Any = self._paths[places if isinstance(places, slice) else places.numpy()]
        return Files(paths, self._form, digest=self.digest, cut_early=self.cut_early)

    def tensor(self, out: torch.Tensor | None = None) -> torch.Tensor:
        """Decode all images, in this thread: (N, 3, size, size) uint8, channels-last, or `out`."""
        images = _pixels(self.shape) if out is None else out
        stored = images.permute(0, 2, 3, 1).numpy()
        for place, path in zip(stored, self._paths, strict=True):
            place[:] = read_image(str(path), self._form)
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
        """
        images = _pixels((len(self), 3, size, size)) if out is None else out
        for image, path, window in zip(images, self._paths, windows, strict=True):
            image.copy_(read_window(str(path), window, self._form, size))
        return images


def _pixels(shape: tuple[int, int, int, int]) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
