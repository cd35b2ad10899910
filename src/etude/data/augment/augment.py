"""Random changes to whole batches, on their device, one after the other.

What happens to an image is a function of its own random numbers, which the caller draws. So it
depends neither on the batch the image is in nor on what was drawn before: a resumed run, another
batch size and another device change images alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.augment.affine import Affine
from etude.data.augment.colour import Colour, components
from etude.data.augment.crop import Area, Cut, Place, Scaled, middle
from etude.data.augment.erase import Erase
from etude.data.augment.gather import central
from etude.data.augment.moves import Flip, PaddedCrop, Shift
from etude.data.augment.photometric import Photometric
from etude.data.sources.files import Files


class Change(Protocol):
    """Something that can happen to images (N, C, H, W), by random numbers (N, draws)."""

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        ...

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Give changed images of the same shape; those that came in stay as they are.

        They are uint8 or float32, and become float32 where new values arise.
        """
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Augment:
    """Augment a batch; every change is off at None or 0.

    They come in the order in which `_made_changes` has them. A run's values are those of
    `conf/augment/none.yaml`; the defaults here are for whoever builds one from Python.

    What range a number has, and which words there are, is the configuration's schema to hold; here
    is what the settings must be to each other.

    Attributes:
        crop: A window of what is kept: `place`, `area` or, by None, the middle; the draws for it
            come first. See `etude.data.augment.crop`.
        scales: With `place`, the least and greatest side that the image is brought to before.
        crop_area: With `area`, the window's least and greatest part of the image's area.
        crop_aspect: With `area`, its least and greatest width over height.
        interpolation: By which windows are brought to their size.
        shift_fraction: Keras's `width_shift_range` and `height_shift_range`: the image moves by up
            to this fraction of its side, in (0, 1), along both axes, by parts of a pixel too.
        rotation_degrees: Keras's `rotation_range`. See `affine` for this and the next.
        shear_degrees: Keras's `shear_range`.
        zoom: Keras's `zoom_range`, in (0, 1).
        fill: What these bring in: `constant` or `nearest`, the image's edge.
        fill_value: The constant, for a padded crop too, in the images' scale.
        crop_padding: Pixels added to every side before a crop of the old size at a random place.
        flip_probability: Of a horizontal flip.
        photometric: Contrast, brightness and colour change by factors from 1 - this to 1 + this.
            See `etude.data.augment.photometric`.
        colour_std: Of the random colours that are added. See `etude.data.augment.colour`.
        erase_probability: Of erasing one rectangle. See `etude.data.augment.erase`.
        erase_area: The rectangle's least and greatest part of the image's area.
        erase_ratio: Its least and greatest height over width, drawn uniformly.
        erase_fit: What happens to one that does not fit: `again` or `cut`.
        erase_fill: What it is filled with: `value` or `noise`.
        erase_value: The value, in the images' scale.
        erase_noise: The least and greatest value of the noise, likewise.
        after_normalize: Whether the caller applies this to normalised images or to 0-255 ones; a
            window is cut before.
        components: What `fitted` finds.

    Raises:
        UserError: Settings do not go together.
    """

    crop: str | None = None
    scales: Sequence[int] | None = None
    crop_area: Sequence[float] = (0.08, 1.0)
    crop_aspect: Sequence[float] = (0.75, 1.3333)
    interpolation: str = "bilinear"
    shift_fraction: float | None = None
    rotation_degrees: float | None = None
    shear_degrees: float | None = None
    zoom: float | None = None
    fill: str = "constant"
    fill_value: float = 0.0
    crop_padding: int | None = None
    flip_probability: float | None = None
    photometric: float | None = None
    colour_std: float | None = None
    erase_probability: float | None = None
    erase_area: Sequence[float] | None = None
    erase_ratio: Sequence[float] | None = None
    erase_fit: str = "cut"
    erase_fill: str = "value"
    erase_value: float = 0.0
    erase_noise: Sequence[float] = (0.0, 255.0)
    after_normalize: bool = False
    components: Tensor | None = None
    _window: Place | Scaled | Area | None = field(init=False)
    _changes: tuple[Change, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_window", self._made_window())
        object.__setattr__(self, "_changes", tuple(self._made_changes()))

    def _made_window(self) -> Place | Scaled | Area | None:
        if self.scales is not None and self.crop != "place":
            raise UserError(
                f"augment.scales={list(self.scales)} are those of augment.crop=place; null turns "
                "them off"
            )
        if self.crop == "area":
            return Area(self.crop_area, self.crop_aspect, self.interpolation)
        if self.scales is not None:
            return Scaled(self.scales, self.interpolation)
        return Place() if self.crop else None

    def _made_changes(self) -> list[Change]:
        changes = self._made_moves()
        if self.crop_padding:
            changes.append(PaddedCrop(self.crop_padding, self.fill_value))
        if self.flip_probability:
            changes.append(Flip(self.flip_probability))
        changes += self._made_colours()
        if self.erase_probability:
            changes.append(self._made_erase(self.erase_probability))
        return changes

    def _made_erase(self, probability: float) -> Erase:
        return Erase(
            probability,
            self.erase_area or (),
            self.erase_ratio or (),
            value=self.erase_value,
            noise=self.erase_noise if self.erase_fill == "noise" else None,
            again=self.erase_fit == "again",
        )

    def _made_moves(self) -> list[Change]:
        """Shift alone, or as a part of one map with what turns and bends."""
        constant = self.fill_value if self.fill == "constant" else None
        if self.rotation_degrees or self.shear_degrees or self.zoom:
            return [
                Affine(
                    shift=self.shift_fraction or 0.0,
                    rotation=self.rotation_degrees or 0.0,
                    shear=self.shear_degrees or 0.0,
                    zoom=self.zoom or 0.0,
                    constant=constant,
                )
            ]
        return [Shift(self.shift_fraction, constant)] if self.shift_fraction else []

    @property
    def draws(self) -> int:
        """Count the random numbers that one image needs."""
        window = self._window.draws if self._window is not None else 0
        return window + sum(change.draws for change in self._changes)

    def _made_colours(self) -> list[Change]:
        """Change what colours mean: only pixels from 0 to 255 have black and grey."""
        for key, value in (("photometric", self.photometric), ("colour_std", self.colour_std)):
            if value and self.after_normalize:
                raise UserError(
                    f"augment.{key}={value} changes pixels from 0 to 255; "
                    "set augment.after_normalize=false"
                )
        made: list[Change] = [Photometric(self.photometric)] if self.photometric else []
        return made + ([Colour(self.colour_std, self.components)] if self.colour_std else [])

    def fitted(self, images: Tensor | Files, device: torch.device) -> Augment:
        """Take from training images (N, C, H, W) what depends on them, to a device."""
        if not self.colour_std:
            return self
        return replace(self, components=components(images).to(device))

    def check(self, *, channels: int, kept: int, seen: int) -> None:
        """Hold the settings against a data set's.

        Args:
            channels: Of its images.
            kept: Side of its images, in pixels.
            seen: Side of what the network sees of them.

        Raises:
            UserError: They do not go together.
        """
        if self.colour_std and channels != 3:
            raise UserError(
                f"augment.colour_std={self.colour_std} needs images of 3 channels, not {channels}; "
                "set it to 0, or use augment.photometric"
            )
        if self.crop == "place" and self.scales is None and kept == seen:
            raise UserError(
                f"augment.crop=place has no room: dataset.load_size must be above {seen}, "
                "dataset.input_size; or set augment.crop=null"
            )
        if self.scales is not None and self.scales[0] < seen:
            raise UserError(
                f"augment.scales={list(self.scales)} must begin at {seen} or more, "
                "dataset.input_size, which is cut out at that scale"
            )

    def cut(self, images: Tensor, draws: Tensor, size: int) -> Tensor:
        """Cut a window out of images (N, C, H, W), 0 to 255: (N, C, size, size)."""
        if self._window is None:
            return central(images, size)
        return self._window(images, draws[:, : self._window.draws], size)

    def windows(self, draws: Tensor, side: int, size: int) -> Cut:
        """Place what `cut` cuts out of images of `side` pixels, for images that are not here."""
        if self._window is None:
            return middle(len(draws), side, size)
        return self._window.cut(draws[:, : self._window.draws], side, size)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Change images, from which the window has been cut.

        Args:
            images: (N, C, H, W) uint8 or float32.
            draws: (N, self.draws) float32, uniform in [0, 1), those of the window included.

        Returns:
            A new tensor (N, C, H, W), or `images` when everything is off: uint8 if it was and
            pixels have only moved, else float32.
        """
        taken = self._window.draws if self._window is not None else 0
        for change in self._changes:
            images = change(images, draws[:, taken : taken + change.draws])
            taken += change.draws
        return images
