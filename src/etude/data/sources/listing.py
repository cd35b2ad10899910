"""The images in a folder, one subfolder a class, by name alone: none is opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from etude.base.errors import UserError

log = logging.getLogger(__name__)

# torchvision.datasets.folder.IMG_EXTENSIONS, here without importing torchvision; a test compares.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Images all the same, which torchvision leaves out as well, without a word.
UNREAD = (".gif", ".jfif", ".avif", ".heic", ".jp2")


class Listing(NamedTuple):
    """The images of one part, sorted, each with the index of its class."""

    classes: tuple[str, ...]
    images: list[os.DirEntry[str]]  # as they remember the path and, once asked, the size
    labels: list[int]


def list_images(folder: Path) -> Listing:
    """List a part's images as torchvision's `ImageFolder` does, hidden ones apart.

    Raises:
        UserError: The folder is missing or has no classes, or a class has no images.
    """
    if not folder.is_dir():
        raise UserError(f"dataset.root has no folder {folder}; put <class>/<image> files into it")
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if _is_class(entry)))
    for name in classes:
        _check_name(folder, name)
    if not classes:
        raise UserError(f"{folder} has no class folders; put <class>/<image> files into it")
    images: list[os.DirEntry[str]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = list(_images_below(folder / name))
        if not found:
            raise UserError(
                f"{folder / name} has no images ({', '.join(EXTENSIONS)}); "
                "put some there, or remove the folder"
            )
        images += found
        labels += [label] * len(found)
    return Listing(classes, images, labels)


def _check_name(folder: Path, name: str) -> None:
    """Refuse a class that cannot be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{folder} has a class folder {os.fsencode(name)!r}, which is no UTF-8; rename it"
        ) from None


def _check_no_loop(folder: os.DirEntry[str]) -> None:
    """Refuse a link to a folder that it is in, whose images would come again and again."""
    if folder.is_symlink():
        place, target = os.path.realpath(Path(folder.path).parent), os.path.realpath(folder.path)
        if f"{place}/".startswith(f"{target}/"):
            raise UserError(f"{folder.path} is a link to a folder that it is in; remove it")


@cache  # for each folder
def _tell_unread(folder: Path, extension: str) -> None:
    log.warning("%s has %s files, which are left out; save them as .png", folder, extension)


def _is_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _images_below(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Walk in alphabetical order; `os.scandir`, as a `Path` a file doubles the time."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                _check_no_loop(entry)
                yield from _images_below(entry.path)
            elif entry.name.lower().endswith(EXTENSIONS):
                yield entry
            elif entry.name.lower().endswith(UNREAD):
                _tell_unread(Path(entry.path).parent, Path(entry.path).suffix)
