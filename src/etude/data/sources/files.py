"""Images that stay in their files until a batch wants them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from etude.base.errors import UserError
from etude.base.lazy import PIL, np, torch
from etude.data.sources.colour import in_rgb


class Form(NamedTuple):
    """What becomes of an image file.

    Attributes:
        size: Side of the square that it is brought to, in pixels.
        interpolation: PIL's `nearest`, `bilinear` or `lanczos`.
        fit: `stretch` squeezes the whole image into the square; `crop` keeps its aspect and takes
            the middle, so that the shorter side becomes the square's.
    """

    size: int
    interpolation: str
    fit: str = "stretch"


class Files:
    """Stand in for a tensor of images (N, 3, size, size) uint8 that is larger than the memory.

    Args:
        paths: N image files.
        form: What each becomes.
        digest: Stands for the data set that they belong to.
    """

    def __init__(self, paths: Sequence[str], form: Form, *, digest: str) -> None:
        self._paths = np.array(paths)  # one block of memory, which worker processes can share
        self.digest = digest
        self._form = form

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Give (N, 3, size, size)."""
        return len(self), 3, self._form.size, self._form.size

    def __getitem__(self, places: Any) -> Files:
        """Choose the images at some places: int64 (n,), or a slice."""
        paths: Any = self._paths[places if isinstance(places, slice) else places.numpy()]
        return Files(paths, self._form, digest=self.digest)

    def tensor(self) -> torch.Tensor:
        """Decode all images, in this thread: (N, 3, size, size) uint8."""
        images = torch.empty(self.shape, dtype=torch.uint8)
        for place, path in zip(images.numpy(), self._paths, strict=True):
            pixels = read_image(str(path), self._form)
            place[:] = pixels.transpose(2, 0, 1)
        return images


def read_image(path: str, form: Form) -> np.typing.NDArray[np.uint8]:
    """Decode one image: (size, size, 3).

    Raises:
        UserError: The file is no image, or breaks off.
    """
    try:
        with PIL.Image.open(path) as image:
            resampling = PIL.Image.Resampling[form.interpolation.upper()]
            upright = in_rgb(image)
            box = _middle(*upright.size) if form.fit == "crop" else None
            sides = (form.size, form.size)
            return np.asarray(upright.resize(sides, resampling, box))
    # What PIL's decoders raise on broken files, as its plugins' sources have it.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        PIL.Image.DecompressionBombError,
    ) as error:
        raise UserError(f"{path} cannot be decoded ({error}); replace or remove it") from error


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Give the largest square in the middle of an image: left, top, right and bottom."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
