"""The images in a folder, one subfolder a class, by name alone: none is opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from etude.base.errors import UserError
from etude.base.text import counted

log = logging.getLogger(__name__)

# torchvision.datasets.folder.IMG_EXTENSIONS, here without importing torchvision; a test compares.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Images all the same, which torchvision leaves out as well, without a word.
UNREAD = (".gif", ".jfif", ".avif", ".heic", ".jp2")


class ImageFile(Protocol):
    """Where an image is: an `os.DirEntry`, or what a table names."""

    @property
    def path(self) -> str:
        """Its file's path."""
        ...


class Listing(NamedTuple):
    """The images of one part, sorted, each with the index of its class.

    Attributes:
        classes: Names, in the order of the labels.
        images: Their files.
        labels: One an image.
        folder: That the images' names are told from.
    """

    classes: tuple[str, ...]
    images: Sequence[ImageFile]
    labels: Sequence[int]
    folder: Path = Path()

    def some(self, places: Sequence[int]) -> Listing:
        """Choose the images at some places."""
        images, labels = ([part[place] for place in places] for part in (self.images, self.labels))
        return self._replace(images=images, labels=labels)

    def of(self, classes: Collection[str]) -> Listing:
        """Leave out all other classes; those that stay keep their order."""
        kept = tuple(name for name in self.classes if name in classes)
        number = {self.classes.index(name): label for label, name in enumerate(kept)}
        chosen = self.some([place for place, own in enumerate(self.labels) if own in number])
        return chosen._replace(classes=kept, labels=[number[own] for own in chosen.labels])

    def present(self) -> set[str]:
        """Name the classes that have images."""
        return {self.classes[label] for label in self.labels}

    def names(self) -> list[str]:
        """Name each image from the folder that they are in."""
        start = len(str(self.folder / "_")) - 1  # not len(str(folder)) + 1, for "." and "/"
        return [image.path[start:] for image in self.images]


def list_images(folder: Path, wanted: Collection[str] | None = None) -> Listing:
    """List a part's images as torchvision's `ImageFolder` does, hidden ones apart.

    Args:
        folder: The part's.
        wanted: Classes whose images are listed; None for all. The others are named all the same.

    Raises:
        UserError: The folder is missing or has no classes, or a class has no images.
    """
    if not folder.is_dir():
        raise UserError(f"dataset.root has no folder {folder}; put <class>/<image> files into it")
    classes = class_folders(folder)
    for name in classes:
        _check_name(folder, name)
    if not classes:
        raise UserError(f"{folder} has no class folders; put <class>/<image> files into it")
    images: list[os.DirEntry[str]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if wanted is not None and name not in wanted:
            continue
        found = list(images_below(folder / name))
        if not found:
            raise UserError(
                f"{folder / name} has no images ({', '.join(EXTENSIONS)}); "
                "put some there, or remove the folder"
            )
        images += found
        labels += [label] * len(found)
    _tell_loose(folder)
    return Listing(classes, images, labels, folder)


def class_folders(folder: Path) -> tuple[str, ...]:
    """Name the folders in a folder in alphabetical order, hidden ones apart."""
    return tuple(entry.name for entry in _entries(folder) if entry.is_dir())


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Give what is in a folder in alphabetical order, what is hidden apart.

    By `os.scandir`, as a `Path` a file doubles the time.

    Raises:
        UserError: It cannot be read: what is in it would be missing without a word.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not _hidden(e)), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}); allow it, or remove the folder"
        ) from error


def _hidden(entry: os.DirEntry[str]) -> bool:
    # What an archive of macOS's brings beside its content begins with no dot.
    return entry.name.startswith(".") or entry.name == "__MACOSX"


def _check_name(folder: Path, name: str) -> None:
    """Refuse a class that cannot be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:
        told = os.fsencode(name)
        try:
            known = told.decode()
        except UnicodeDecodeError:
            why = f"{told!r}, which is no UTF-8; rename it"
        else:
            why = f"{known}, which Python cannot read in this locale; set PYTHONUTF8=1"
        raise UserError(f"{folder} has a class folder {why}") from None


def _check_no_loop(folder: os.DirEntry[str]) -> None:
    """Refuse a link to a folder that it is in, whose images would come again and again."""
    if folder.is_symlink():
        place, target = os.path.realpath(Path(folder.path).parent), os.path.realpath(folder.path)
        if f"{place}/".startswith(f"{target}/"):
            raise UserError(f"{folder.path} is a link to a folder that it is in; remove it")


@cache  # for each folder
def _tell_unread(folder: Path, extension: str) -> None:
    log.warning("%s has %s files, which are left out; save them as .png", folder, extension)


@cache
def _tell_loose(folder: Path) -> None:
    """Say which images lie beside the class folders, and so belong to no class."""
    loose = sum(entry.is_file() and is_image(entry.name) for entry in _entries(folder))
    if loose:
        log.warning("%s: left out %s in no class folder", folder, counted(loose, "image"))


def is_image(name: str) -> bool:
    """Say whether a file is read, by its name."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def images_below(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Walk through a folder in alphabetical order, and all below it.

    Raises:
        UserError: One cannot be read, or is a link to a folder that it is in.
    """
    for entry in _entries(folder):
        if entry.is_dir():
            _check_no_loop(entry)
            yield from images_below(entry.path)
        elif is_image(entry.name):
            yield entry
        elif entry.name.lower().endswith(UNREAD):
            _tell_unread(Path(entry.path).parent, Path(entry.path).suffix)
