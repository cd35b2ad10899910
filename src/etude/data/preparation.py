"""What becomes of an image before a network sees it, as numbers that stand for themselves.

A run's folder and its weights hold them, so that nothing of the training images is needed to use
the network: size, normalisation, and the names of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.augment.gather import central
from etude.data.normalize import Normalize
from etude.data.resize import resize
from etude.data.sources.decode import Form, read_image

FORMAT = 1  # raise it when what is written means something else


class Preparation(NamedTuple):
    """From an image file to a network's input.

    Attributes:
        classes: Names, in the order of the logits.
        channels: 3 for red, green and blue, 1 for grey.
        loaded: Side of the square that an image file becomes at first, in pixels.
        kept: Side that this is brought to.
        seen: Side of the middle that the network sees.
        interpolation: How; see `etude.data.sources.files.Form` and `etude.data.resize`.
        fit: How an image that is no square becomes one; see `Form`.
        views: Views of an image that are asked about, their probabilities averaged: 1, 2 or 10.
        mode: What `dataset.normalize` calls the map that follows.
        normalize: From pixels to the network's input.
    """

    classes: Sequence[str]
    channels: int
    loaded: int
    kept: int
    seen: int
    interpolation: str
    fit: str
    views: int
    mode: str
    normalize: Normalize

    def plain(self) -> dict[str, object]:
        """Give it as JSON has it: input = scale · pixel + shift, pixels being 0 to 255."""
        normalize = {
            "mode": self.mode,
            "channels": "BGR" if self.normalize.reverse_channels else "RGB"[: self.channels],
            "scale": _numbers(self.normalize.scale),
            "shift": _numbers(self.normalize.shift),
        }
        if self.channels == 1:
            normalize["channels"] = "grey"
        settings = {key: value for key, value in self._asdict().items() if key != "mode"}
        return {"format": FORMAT, **settings, "classes": [*self.classes], "normalize": normalize}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `plain` gave.

        Raises:
            UserError: It is of a later version, or damaged.
        """
        if plain.get("format") != FORMAT:
            raise UserError(
                f"what a run says of its images has format {plain.get('format')}, and this version "
                f"of Étude reads {FORMAT}; a newer one is needed"
            )
        try:
            told = plain["normalize"]
            scale, shift = torch.broadcast_tensors(_tensor(told["scale"]), _tensor(told["shift"]))
            normalize = Normalize(scale, shift, told["channels"] == "BGR")
            kept = {key: plain[key] for key in cls._fields if key not in {"mode", "normalize"}}
            return cls(**kept, mode=told["mode"], normalize=normalize)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"what a run says of its images is damaged ({error!r})") from error

    def pixels(self, paths: Sequence[str]) -> Tensor:
        """Read image files: (N, C, kept, kept) uint8.

        Raises:
            UserError: One cannot be decoded.
        """
        form = Form(self.loaded, self._of_files, self.fit)
        images = torch.empty(len(paths), self.channels, self.loaded, self.loaded, dtype=torch.uint8)
        for place, path in zip(images, paths, strict=True):
            place.copy_(self._channels(torch.from_numpy(read_image(path, form).copy())))
        return resize(images, self.kept, self.interpolation)

    def inputs(self, pixels: Tensor) -> Tensor:
        """Normalise the middle of pixels (N, C, kept, kept): (N, C, seen, seen)."""
        return self.normalize.cut(self.seen)(central(pixels, self.seen))

    def viewed(self, pixels: Tensor) -> Tensor:
        """Normalise what several views are cut from, whole, (N, C, kept, kept); else the middle."""
        return self.normalize(pixels) if self.views > 1 else self.inputs(pixels)

    def words(self) -> str:
        """Say what an image file becomes before its pixels are normalised."""
        side, kept = (f"{side}×{side} pixels" for side in (self.loaded, self.kept))
        then = f", then {kept} by {self.interpolation}" if self.loaded != self.kept else ""
        return f"{side} by {self._of_files} resizing ({self.fit}){then}"

    @property
    def _of_files(self) -> str:
        """How files are resized; what is `pad` in memory has no meaning for them."""
        return "bilinear" if self.interpolation == "pad" else self.interpolation

    def _channels(self, pixels: Tensor) -> Tensor:
        """Bring (H, W, 3) to (C, H, W); grey as PIL has it, by ITU-R 601."""
        pixels = pixels.permute(2, 0, 1)
        if self.channels == 3:
            return pixels
        weights = torch.tensor([19595, 38470, 7471]).view(3, 1, 1)
        return ((pixels.long() * weights).sum(0, keepdim=True) + 2**15).bitwise_right_shift(16)


def _numbers(values: Tensor) -> list[object]:
    """Give (1, C, H, W) as C numbers where all pixels have the same, else as (C, H, W)."""
    if (values == values[:, :, :1, :1]).all():
        values = values[0, :, 0, 0]
        return values.tolist()
    return values[0].tolist()


def _tensor(numbers: Sequence[object]) -> Tensor:
    values = torch.tensor(numbers, dtype=torch.float32)
    return values.view(1, -1, 1, 1) if values.dim() == 1 else values.unsqueeze(0)
