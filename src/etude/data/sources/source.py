"""What a source of images gives: facts before anything slow, then labelled uint8 tensors."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from etude.base.lazy import torch
from etude.data.sources.files import Files
from etude.data.splits import held_out


class DatasetInfo(NamedTuple):
    """What can be known of a data set without loading it.

    Attributes:
        train_images: Images of its training part, before any is cut off.
        test_images: Of its test part.
        num_classes: Classes.
        channels: Of an image.
        size: Of an image, its side in pixels.
        validation_images: Of a validation part of its own; 0 where it has none.
    """

    train_images: int
    test_images: int
    num_classes: int
    channels: int
    size: int
    validation_images: int = 0

    def divided(self, images: int, policy: str, fraction: float | None) -> tuple[int, int]:
        """Count what so many training images leave to train on, and what validates.

        Args:
            images: Of the training part, after any limit.
            policy: See `etude.data.splits`; `none` leaves a validation part of its own alone.
            fraction: Likewise.

        Raises:
            UserError: See `held_out`.
        """
        if self.validation_images and policy != "none":
            return images, self.validation_images
        held = held_out(images, policy, fraction)
        return images - held, held


class Labelled(NamedTuple):
    """Images (N, C, H, W) uint8, in memory or still in files, with their labels (N,) int64."""

    images: torch.Tensor | Files
    labels: torch.Tensor


class Loaded(NamedTuple):
    """A data set's parts as published, and its classes' names in the order of the labels."""

    train: Labelled
    test: Labelled
    classes: tuple[str, ...]
    validation: Labelled | None = None

    def parts(self) -> list[Labelled]:
        """Give the parts that there are."""
        return [part for part in (self.train, self.test, self.validation) if part is not None]


class Source(Protocol):
    """A data set on disk, or in a package."""

    def facts(self) -> DatasetInfo:
        """Tell the data set's counts and shape, and check that its files are there.

        It is quick, reads no more than headers and names, imports no torch and never uses the
        network: files that are still to be downloaded give the published facts.

        Raises:
            UserError: A file is missing, or is not what it claims to be.
        """
        ...

    def load(self) -> Loaded:
        """Read all images, downloading them first where that was asked for.

        Raises:
            UserError: A file is missing, broken, or could not be downloaded.
        """
        ...

    def content(self) -> str | None:
        """Tell these data from others of the same kind and shape: a digest of what is read.

        It is the same wherever the files lie, imports no torch and never uses the network; a file
        is read once, and again only when it has changed.

        Returns:
            None for data exactly as published or as a package has it, which the source's name
            stands for, and for data that is not there: `facts` says what is missing.

        Raises:
            UserError: A file is there and cannot be read.
        """
        ...
