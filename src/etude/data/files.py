"""Images that stay in their files until a batch wants them."""

# ruff: noqa: PLC0415 -- torch and the like load only when images do
from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from etude.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


class Files:
    """Stand in for a tensor of images (N, 3, size, size) uint8 that is larger than the memory.

    Args:
        paths: N image files.
        size: Side of the square that each is resized to, in pixels.
        interpolation: PIL's `nearest`, `bilinear` or `lanczos`.
        digest: Stands for the data set that they belong to.
    """

    def __init__(self, paths: Sequence[str], *, size: int, interpolation: str, digest: str) -> None:
        import numpy as np

        self._paths = np.array(paths)  # one block of memory, which worker processes can share
        self.digest = digest
        self._size = size
        self._interpolation = interpolation

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Give (N, 3, size, size)."""
        return len(self), 3, self._size, self._size

    def __getitem__(self, places: Any) -> Files:
        """Choose the images at some places: int64 (n,), or a slice."""
        paths: Any = self._paths[places if isinstance(places, slice) else places.numpy()]
        return Files(paths, size=self._size, interpolation=self._interpolation, digest=self.digest)

    def tensor(self) -> Tensor:
        """Decode all images, in this thread: (N, 3, size, size) uint8."""
        import torch

        images = torch.empty(self.shape, dtype=torch.uint8)
        for place, path in zip(images.numpy(), self._paths, strict=True):
            pixels = read_image(str(path), self._size, self._interpolation)
            place[:] = pixels.transpose(2, 0, 1)
        return images


def read_image(path: str, size: int, interpolation: str) -> npt.NDArray[np.uint8]:
    """Decode one image: (size, size, 3).

    Raises:
        UserError: The file is no image, or breaks off.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            resampling = Image.Resampling[interpolation.upper()]
            return np.asarray(image.convert("RGB").resize((size, size), resampling))
    # What PIL's decoders raise on broken files, as its plugins' sources have it.
    except (
        OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise UserError(f"{path} cannot be decoded ({error}); replace or remove it") from error
