"""A folder of images, one subfolder a class, as Keras's `flow_from_directory` reads it.

Every image is decoded to RGB and resized straight to a square, its aspect not kept unless asked,
once: the pixels go to a cache file, so that a second run reads them in one piece. Where they would
not fit into memory, the images stay in their files, and every batch is decoded when it is wanted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etude.base.digests import combined, digests_of_files
from etude.base.errors import UserError
from etude.base.lazy import PIL, torch
from etude.base.places import cache_folder
from etude.data.sides import Sides
from etude.data.sources import cache
from etude.data.sources.decode import Form, read_image
from etude.data.sources.files import Files
from etude.data.sources.listing import Listing, list_images
from etude.data.sources.source import DatasetInfo, Labelled, Loaded

log = logging.getLogger(__name__)

INTERPOLATIONS = ("nearest", "bilinear", "lanczos")
FITS = ("stretch", "crop")
CUTS = ("kept", "original")
# Raise it when the same file would give other pixels: it is part of the cache's name, and of what
# the folder is known by. 2: upright, more than 8 bits scaled, transparency on white.
DECODER = 2
PROGRESS_SECONDS = 5.0


class Folder:
    """Images at `root/<part>/<class>/**`, the classes in alphabetical order.

    Hidden files and folders are passed over.

    Args:
        root: The folder that holds both parts.
        train: The training part's folder below `root`.
        test: The test part's.
        input_size: Side of the square that a network sees of every image, in pixels.
        interpolation: PIL's `nearest` (Keras's default), `bilinear` or `lanczos`.
        load_size: Side of the square that every image is resized to; None for what is seen.
        fit: How an image that is no square becomes one; see `etude.data.sources.decode.Form`.
        cut_from: What windows are cut out of: `kept`, the square of `load_size`; `original`, the
            image as it is in its file, where it then stays, the same part of it as of that square.
        stream: Whether images stay in their files, and are decoded anew in every epoch; None
            streams them where their pixels would take over half of the machine's memory.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        train: str,
        test: str,
        input_size: int | None,
        interpolation: str,
        load_size: int | None = None,
        fit: str = "stretch",
        cut_from: str = "kept",
        stream: bool | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        self.train = train
        self.test = test
        self.input_size = input_size
        self.interpolation = interpolation
        self.load_size = load_size
        self.fit = fit
        self.cut_from = cut_from
        self.stream = stream
        self._copies = 0  # images to train on that are test images as well; `content` counts them

    def facts(self) -> DatasetInfo:
        """List the files and tell their counts; no image is opened.

        Raises:
            UserError: A folder is missing, a class is empty, the two parts have other classes, or
                a setting is impossible.
        """
        seen = self._check_settings().seen
        train, test = self.listings()
        return DatasetInfo(
            len(train.images), len(test.images), len(train.classes), channels=3, size=seen
        )

    def content(self) -> str | None:
        """Give a digest of both parts' images, by their names below them; see `Source`.

        Raises:
            UserError: An image cannot be read.
        """
        try:
            train, test = self.listings()
        except UserError:  # of what is missing, which `facts` tells
            return None
        ours = _digests(self.root / self.train, train)
        theirs = _digests(self.root / self.test, test)
        tested = set(theirs.values())
        self._copies = sum(digest in tested for digest in ours.values())
        found = {"train": combined(ours), "test": combined(theirs)}
        return combined({**found, "decoder": str(DECODER)})

    def load(self) -> Loaded:
        """Read the pixels from the cache, or decode every image and fill it.

        Raises:
            UserError: As for `facts`, or an image cannot be decoded.
        """
        size = self._check_settings().kept
        form = Form(size, self.interpolation, self.fit)
        train, test = self.listings()
        counts = {"train": len(train.images), "test": len(test.images)}
        key = self._key(form)
        if self._copies:
            log.warning(
                "%d images of %s are in %s as well, byte for byte: the test is of images that "
                "were learned from",
                *(self._copies, self.root / self.train, self.test),
            )
        if self.streams(sum(counts.values()) * 3 * size**2):
            return Loaded(
                self._in_files(train, form, key), self._in_files(test, form, key), train.classes
            )
        path = cache_folder() / f"{key}.safetensors"
        pixels = cache.read(path, {part: (n, 3, size, size) for part, n in counts.items()})
        if pixels is None:
            _check_memory(sum(counts.values()) * 3 * size**2, self.root)
            pixels = {
                name: decode([image.path for image in part.images], form)
                for name, part in (("train", train), ("test", test))
            }
            cache.write(path, pixels)
        return Loaded(
            _labelled(pixels["train"], train), _labelled(pixels["test"], test), train.classes
        )

    def streams(self, needed: int) -> bool:
        """Decide where the pixels, so many bytes, are held."""
        if self.cut_from == "original":
            return True
        return not _fits(needed) if self.stream is None else self.stream

    def _in_files(self, part: Listing, form: Form, key: str) -> Labelled:
        paths = [image.path for image in part.images]
        early = self.cut_from == "original"
        return _labelled(Files(paths, form, digest=key[:16], cut_early=early), part)

    def _check_settings(self) -> Sides:
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(
                f"dataset.interpolation={self.interpolation} does not resize image files; "
                f"use one of {', '.join(INTERPOLATIONS)}"
            )
        if self.fit not in FITS:
            raise UserError(f"dataset.fit={self.fit} is unknown; use one of {', '.join(FITS)}")
        self._check_cut()
        if self.input_size is None or self.input_size < 1:
            raise UserError(
                f"dataset.input_size={'null' if self.input_size is None else self.input_size}: "
                "image files differ in size, so give the side in pixels that they are resized to"
            )
        return Sides.of(self.input_size, input_size=self.input_size, load_size=self.load_size)

    def _check_cut(self) -> None:
        """Refuse what does not go with windows of the images themselves."""
        if self.cut_from not in CUTS:
            raise UserError(
                f"dataset.cut_from={self.cut_from} is unknown; use one of {', '.join(CUTS)}"
            )
        if self.cut_from == "original" and self.stream is False:
            raise UserError(
                "dataset.cut_from=original decodes every window from its file, so dataset.stream "
                "cannot be false; set it to null, or dataset.cut_from=kept"
            )
        if self.cut_from == "original" and self.interpolation == "lanczos":
            raise UserError(
                "dataset.cut_from=original brings windows to their size by bilinear or nearest, so "
                "set dataset.interpolation to one of them, or dataset.cut_from=kept"
            )

    def listings(self) -> tuple[Listing, Listing]:
        """List the images to train on and those to test on.

        Raises:
            UserError: See `facts`.
        """
        if (self.root / self.train).resolve() == (self.root / self.test).resolve():
            raise UserError(
                f"dataset.test={self.test} are the images of dataset.train={self.train}: a result "
                "on what was learned says nothing; give each a folder of its own"
            )
        train, test = (list_images(self.root / part) for part in (self.train, self.test))
        for name in sorted(set(train.classes) ^ set(test.classes)):
            has, lacks = (
                (self.train, self.test) if name in train.classes else (self.test, self.train)
            )
            raise UserError(
                f"dataset.root={self.root}: class {name} is in {has} but not in {lacks}; "
                "both must have the same classes"
            )
        return train, test

    def _key(self, form: Form) -> str:
        """Name the pixels by all that decides them: what the files hold, not where they lie."""
        # PIL's version, as its decoders differ in the last bit.
        facts = [self.content(), *form, DECODER, PIL.__version__]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def decode(paths: list[str], form: Form) -> torch.Tensor:
    """Decode and resize images in threads, which PIL lets run side by side.

    Args:
        paths: N image files.
        form: What each becomes.

    Returns:
        (N, 3, form.size, form.size) uint8.

    Raises:
        UserError: A file is no image, or breaks off.
    """
    images = torch.empty(len(paths), 3, form.size, form.size, dtype=torch.uint8)
    pixels = images.numpy()

    def fill(index: int) -> None:
        pixels[index] = read_image(paths[index], form).transpose(2, 0, 1)

    shown = time.monotonic()
    # torch's number, as a launcher that packs several jobs on a machine lowers it.
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for done, _ in enumerate(threads.map(fill, range(len(paths))), start=1):
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                log.info("decoded %d of %d images", done, len(paths))
    return images


def _fits(needed: int) -> bool:
    """Tell whether pixels leave half of this machine's memory to the rest."""
    return needed <= _memory() / 2


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _check_memory(needed: int, root: Path) -> None:
    """Refuse what would be killed for memory after hours of decoding."""
    if needed > _memory():
        raise UserError(
            f"dataset.root={root} needs {needed / 2**30:.1f} GiB of memory as pixels, this machine "
            f"has {_memory() / 2**30:.1f}; set dataset.stream=null or true, or choose a smaller "
            "dataset.input_size or dataset.load_size"
        )


def _digests(folder: Path, part: Listing) -> dict[str, str]:
    start = len(str(folder / "_")) - 1  # not len(str(folder)) + 1, for "." and "/"
    return digests_of_files(folder, (image.path[start:] for image in part.images))


def _labelled(images: torch.Tensor | Files, listing: Listing) -> Labelled:
    return Labelled(images, torch.tensor(listing.labels, dtype=torch.int64))
