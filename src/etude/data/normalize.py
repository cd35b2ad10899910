"""From pixels to what a network is fed: one multiplication and one addition.

| mode | input |
|---|---|
| `none` | x, 0 to 255 |
| `unit` | x / 255 |
| `mean_std` | (x / 255 - mean) / std, per channel |
| `mean_only` | x - mean, per channel, 0-255 scale: document 004 |
| `pixel_mean` | x / 255 - the training images' mean image: document 003 |
| `caffe` | BGR, x - (103.939, 116.779, 123.68): Keras's `preprocess_input` |
| `lecun` | 0 becomes -0.1 and 255 becomes 1.175: LeCun et al., 1998, section III.A |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.base.text import counted
from etude.data.augment.gather import best_one_by_one, central
from etude.data.sources.files import Files

MODES = ("none", "unit", "mean_std", "mean_only", "pixel_mean", "caffe", "lecun")
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
LECUN_RANGE = (-0.1, 1.175)
SAMPLE_IMAGES = 100  # of a stream, for a suggestion
CHUNK_IMAGES = 1024  # bounds the temporary int64 copies of images


@dataclass(frozen=True, eq=False)
class Normalize:
    """An affine map of pixels, made by `fit`.

    Attributes:
        scale: (1, C, 1, 1) or (1, C, H, W).
        shift: Like `scale`.
        reverse_channels: Whether RGB becomes BGR before the map.
    """

    scale: Tensor
    shift: Tensor
    reverse_channels: bool = False

    def __call__(self, images: Tensor, out: Tensor | None = None) -> Tensor:
        """Map images (N, C, H, W), 0 to 255, uint8 or float32, to new float32 or `out`."""
        if self.reverse_channels:
            images = images.flip(1)
        if out is not None and best_one_by_one(out):
            for made, image in zip(out.split(1), images.split(1), strict=True):
                self._into(made, image)
            return out
        return torch.addcmul(self.shift, images.float(), self.scale, out=out)

    def _into(self, made: Tensor, image: Tensor) -> None:
        """Map one image to its place; what is between the two steps stays in the cache."""
        values = image if image.dtype == torch.float32 else made.copy_(image)
        torch.addcmul(self.shift, values, self.scale, out=made)

    def to(self, device: torch.device | str) -> Normalize:
        """Copy both tensors to a device."""
        return Normalize(self.scale.to(device), self.shift.to(device), self.reverse_channels)

    def cut(self, size: int) -> Normalize:
        """Make the map for the images' middle (N, C, size, size): a mean image is cut alike."""
        if self.scale.shape[-1] == 1:
            return self
        scale, shift = central(self.scale, size), central(self.shift, size)
        return Normalize(scale, shift, self.reverse_channels)

    def laid_out(self, images: Tensor) -> Normalize:
        """Give every pixel its own factors, in the memory format of images (N, C, H, W).

        In channels-last on a CPU this is four times as fast as factors of three channels only. A
        large image's come for a row, which the cache holds.
        """
        one = images[:1]
        is_repeated = self.scale.shape[-1] == 1 and best_one_by_one(images)
        layout = torch.empty_like(one[:, :, :1] if is_repeated else one, dtype=torch.float32)
        scale, shift = (layout.clone().copy_(part) for part in (self.scale, self.shift))
        return Normalize(scale, shift, self.reverse_channels)


def fit(
    mode: str,
    train_images: Tensor | Files,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Normalize:
    """Make the map of a mode, from the training images' statistics where it needs any.

    Args:
        mode: One of `MODES`.
        train_images: (N, C, H, W) uint8. Files are not opened for it.
        mean: Used in place of the images' own, one number a channel: on the 0-1 scale for
            `mean_std`, on the 0-255 scale for `mean_only`.
        std: Likewise, for `mean_std`, on the 0-1 scale.

    Raises:
        UserError: The mode is unknown, does not use a given statistic, or does not fit the
            number of channels, or it needs statistics of images that are still in files.
    """
    channels = train_images.shape[1]
    _check(mode, channels, mean, std)
    if isinstance(train_images, Files):
        _check_given(mode, mean, std, train_images)
        train_images = torch.empty(0, *train_images.shape[1:], dtype=torch.uint8)
    if mode == "mean_std":
        return _mean_std(train_images, mean, std)
    if mode == "mean_only":
        center = mean or [255 * value for value in statistics(train_images)[0]]
        return _per_channel([1.0] * channels, [-value for value in center])
    if mode == "pixel_mean":
        center = mean_image(train_images)
        return Normalize(torch.full_like(center, 1 / 255), -center / 255)
    if mode == "caffe":
        return _per_channel([1.0] * 3, [-value for value in CAFFE_MEAN_BGR], reverse=True)
    low, high = {"none": (0.0, 255.0), "unit": (0.0, 1.0), "lecun": LECUN_RANGE}[mode]
    return _per_channel([(high - low) / 255] * channels, [low] * channels)


def statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Compute mean and population standard deviation of every channel, on the 0-1 scale.

    Exact up to the last rounding: integer sums over each channel's histogram.

    Args:
        images: (N, C, H, W) uint8.
    """
    moments = [_moments(images[:, channel]) for channel in range(images.shape[1])]
    means = [first / count / 255 for count, first, _ in moments]
    stds = [math.sqrt(count * second - first**2) / count / 255 for count, first, second in moments]
    return means, stds


def mean_image(images: Tensor) -> Tensor:
    """Average images (N, C, H, W) uint8 to one of float32, (1, C, H, W), 0 to 255."""
    total = torch.zeros(images.shape[1:], dtype=torch.int64, device=images.device)
    for chunk in images.split(CHUNK_IMAGES):
        total += chunk.sum(0, dtype=torch.int64)
    return (total.double() / len(images)).float().unsqueeze(0)


def _moments(channel: Tensor) -> tuple[int, int, int]:
    """Give the count, the sum and the sum of squares of the values of (N, H, W) uint8."""
    counts = torch.zeros(256, dtype=torch.int64, device=channel.device)
    for chunk in channel.split(CHUNK_IMAGES):
        counts += torch.bincount(chunk.flatten(), minlength=256)
    # Python's integers: count·Σx² passes 2^63 on a large data set.
    histogram: list[int] = counts.tolist()
    return (
        sum(histogram),
        sum(value * count for value, count in enumerate(histogram)),
        sum(value**2 * count for value, count in enumerate(histogram)),
    )


def _mean_std(
    images: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Normalize:
    if mean is None or std is None:
        own_mean, own_std = statistics(images)
        mean, std = mean or own_mean, std or own_std
    spread = [value or 1.0 for value in std]  # a constant channel becomes 0, not NaN
    return _per_channel(
        [1 / (255 * s) for s in spread], [-m / s for m, s in zip(mean, spread, strict=True)]
    )


def _per_channel(
    scale: Sequence[float], shift: Sequence[float], *, reverse: bool = False
) -> Normalize:
    """Round to float32 only here."""
    return Normalize(
        torch.tensor(scale).view(1, -1, 1, 1), torch.tensor(shift).view(1, -1, 1, 1), reverse
    )


def _check_given(
    mode: str, mean: Sequence[float] | None, std: Sequence[float] | None, images: Files
) -> None:
    """Refuse to read a whole stream of images for their statistics."""
    needed = {"mean_std": (mean, std), "mean_only": (mean,), "pixel_mean": (None,)}.get(mode, ())
    if any(value is None for value in needed):
        raise UserError(
            f"dataset.normalize={mode} needs the mean of all images, which are streamed from their "
            f"files; give dataset.mean and dataset.std{_suggestion(mode, images)}, or set "
            "dataset.normalize=unit"
        )


def _suggestion(mode: str, images: Files) -> str:
    """Say what some of the images have."""
    if mode == "pixel_mean":
        return ""
    some = images[:: max(1, len(images) // SAMPLE_IMAGES)]
    factor = 255 if mode == "mean_only" else 1
    mean, std = (",".join(f"{factor * v:.4g}" for v in part) for part in statistics(some.tensor()))
    told = f"dataset.mean=[{mean}]" + ("" if mode == "mean_only" else f" dataset.std=[{std}]")
    return f" ({told} by {len(some)} of them)"


def _check(
    mode: str, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    if mode not in MODES:
        raise UserError(f"dataset.normalize={mode} is unknown; use one of {', '.join(MODES)}")
    if mode == "caffe" and channels != 3:
        raise UserError(f"dataset.normalize=caffe needs 3 channels, not {channels}; use mean_std")
    users = {"mean": ("mean_std", "mean_only"), "std": ("mean_std",)}
    for key, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if mode not in users[key]:
            raise UserError(
                f"dataset.{key} is not used by dataset.normalize={mode}; "
                f"set it to null, or use {' or '.join(users[key])}"
            )
        if len(values) != channels:
            raise UserError(
                f"dataset.{key} has {counted(len(values), 'number')} for "
                f"{counted(channels, 'channel')}; "
                "give one a channel, or null to compute it"
            )
    if std is not None and min(std) <= 0:
        raise UserError(f"dataset.std={list(std)} must be above 0; null computes it")
