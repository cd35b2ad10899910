"""What a source of images gives: facts before anything slow, then labelled uint8 tensors."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from etude.base.lazy import torch
from etude.data.sources.files import Files


class DatasetInfo(NamedTuple):
    """What can be known of a data set without loading it; `size` is its images' side in pixels."""

    train_images: int
    test_images: int
    num_classes: int
    channels: int
    size: int


class Labelled(NamedTuple):
    """Images (N, C, H, W) uint8, in memory or still in files, with their labels (N,) int64."""

    images: torch.Tensor | Files
    labels: torch.Tensor


class Loaded(NamedTuple):
    """A data set's published two parts, and its classes' names in the order of the labels."""

    train: Labelled
    test: Labelled
    classes: tuple[str, ...]


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
