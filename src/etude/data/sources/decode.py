"""From an image file to pixels: the whole of it, or one window."""

from __future__ import annotations

import importlib
import io
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from etude.base.errors import UserError
from etude.base.lazy import PIL, np, torch
from etude.data.sources.colour import in_rgb, is_upright

_RGB = 3  # torchvision.io.ImageReadMode


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


class Window(NamedTuple):
    """A part of what becomes a square, in parts of the square's side, from 0 to 1.

    Attributes:
        top: Its first row's edge.
        left: Its first column's.
        bottom: Its last row's.
        right: Its last column's.
        kind: `nearest`, or `bilinear` or `bicubic`, smoothed where they shrink.
    """

    top: float
    left: float
    bottom: float
    right: float
    kind: str


def read_image(path: str, form: Form) -> np.typing.NDArray[np.uint8]:
    """Decode one image: (size, size, 3).

    Raises:
        UserError: The file is no image, or breaks off.
    """
    with _naming(path), PIL.Image.open(path) as image:
        resampling = PIL.Image.Resampling[form.interpolation.upper()]
        upright = in_rgb(image)
        box = _middle(*upright.size) if form.fit == "crop" else None
        return np.asarray(upright.resize((form.size, form.size), resampling, box))


def read_window(path: str, window: Window, form: Form, size: int) -> torch.Tensor:
    """Decode one image, and bring a window of it to a size in one step: (3, size, size) uint8.

    The window is brought to whole pixels of the image, at least one; nothing beyond it is seen.
    PyTorch's kernel resizes, in a third of PIL's time, and rounds otherwise: a pixel may be 1 more
    or less.

    Args:
        path: The image file.
        window: What is wanted of it.
        form: Of which the fit decides what the window is a part of.
        size: Side of the result.

    Raises:
        UserError: The file is no image, or breaks off.
    """
    with _naming(path):
        pixels = _pixels(path)
    height, width = pixels.shape[1:]
    square = _middle(width, height) if form.fit == "crop" else (0.0, 0.0, width, height)
    rows = _whole(window.top, window.bottom, square[1], square[3])
    columns = _whole(window.left, window.right, square[0], square[2])
    cut = pixels[None, :, slice(*rows), slice(*columns)]
    if cut.shape[2:] == (size, size):
        return cut[0]
    smooth = window.kind != "nearest"
    mode = window.kind if smooth else "nearest-exact"
    # In one piece, channels-last: the kernel takes a third of the time for it.
    cut = cut.contiguous(memory_format=torch.channels_last)
    return torch.nn.functional.interpolate(cut, (size, size), mode=mode, antialias=smooth)[0]


def _pixels(path: str) -> torch.Tensor:
    """Decode one image at its own size: (3, H, W) uint8, channels-last.

    A JPEG in colour or grey goes to torchvision's decoder, where there is one: it gives the pixels
    that PIL gives, in two thirds of the time. What it refuses goes to PIL as all else does.
    """
    data = bytearray(Path(path).read_bytes())
    with PIL.Image.open(io.BytesIO(data)) as image:
        decode = jpeg_decoder()
        if decode and image.format == "JPEG" and image.mode in ("RGB", "L") and is_upright(image):
            try:
                return decode(torch.frombuffer(data, dtype=torch.uint8), _RGB)
            except RuntimeError:
                pass
        return torch.from_numpy(np.array(in_rgb(image))).permute(2, 0, 1)


@cache
def jpeg_decoder() -> Callable[[torch.Tensor, int], torch.Tensor] | None:
    """Find torchvision's decoder, which it means to give up, and has warned of since 0.29.

    It is imported by that, which workers that are forked earlier would each do in every epoch.
    """
    try:
        importlib.import_module("torchvision.io")
        decode: Callable[[torch.Tensor, int], torch.Tensor] = torch.ops.image.decode_jpeg
    except (ImportError, AttributeError):
        return None
    return decode


def _whole(first: float, last: float, start: float, end: float) -> tuple[int, int]:
    """Bring what lies between two parts of a stretch of pixels to whole ones, at least one."""
    begin = min(round(start + first * (end - start)), int(end) - 1)
    return begin, max(round(start + last * (end - start)), begin + 1)


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Give the largest square in the middle of an image: left, top, right and bottom."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


@contextmanager
def _naming(path: str) -> Generator[None]:
    """Say which file it is that cannot be decoded."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: there is no such file; put it back and give the same command again"
        ) from error
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
