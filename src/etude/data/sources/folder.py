"""A folder of images, one subfolder a class, as Keras's `flow_from_directory` reads it.

Every image is decoded to RGB and resized straight to a square, its aspect not kept unless asked,
once: the pixels go to a cache file, so that a second run reads them in one piece. Where they would
not fit into memory, the images stay in their files, and every batch is decoded when it is wanted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from etude.base.digests import combined, digest_of_text, digests_of_files
from etude.base.errors import UserError
from etude.base.lazy import PIL, torch
from etude.base.physical_memory import physical_memory
from etude.base.places import cache_folder
from etude.base.text import counted
from etude.data.sides import Sides
from etude.data.sources import cache
from etude.data.sources.decode import Form
from etude.data.sources.decode_many import damaged, decode, shown_names, typical_side
from etude.data.sources.files import Files
from etude.data.sources.layout import Division, Layout
from etude.data.sources.listing import Listing
from etude.data.sources.source import DatasetInfo, Labelled, Loaded

log = logging.getLogger(__name__)

FILE_INTERPOLATIONS = ("nearest", "bilinear", "lanczos")
FITS = ("stretch", "crop")
CUTS = ("kept", "original")
# Raise it when the same file would give other pixels: it is part of the cache's name, and of what
# the folder is known by. 2: upright, more than 8 bits scaled, transparency on white.
DECODER = 2
# Sides that networks were made for: LeNet's, CIFAR's, Tiny ImageNet's, ImageNet's, Inception's.
USUAL_SIDES = (28, 32, 64, 96, 128, 150, 224, 299)


class Folder:
    """Images in folders of classes, or named by a table; see `etude.data.sources.layout`.

    Hidden files and folders are passed over. The classes are in alphabetical order.

    Args:
        root: The folder that holds all parts.
        train: The training part's folder below `root`.
        validation: The validation part's; None finds one by its name.
        test: The test part's.
        input_size: Side of the square that a network sees of every image, in pixels.
        interpolation: PIL's `nearest` (Keras's default), `bilinear` or `lanczos`.
        load_size: Side of the square that every image is resized to; None for what is seen.
        fit: How an image that is no square becomes one; see `etude.data.sources.decode.Form`.
        cut_from: What windows are cut out of: `kept`, the square of `load_size`; `original`, the
            image as it is in its file, where it then stays, the same part of it as of that square.
        stream: Whether images stay in their files, and are decoded anew in every epoch; None
            streams them where their pixels would take over half of the machine's memory.
        labels: A table of files and classes, instead of class folders.
        classes: Those that are taken, in alphabetical order all the same; None for all.
        test_fraction: What is cut off for the test where there is no test part.
        split_seed: Decides what is.
        on_bad_image: `error`, or `skip` to leave images out that cannot be decoded.
    """

    def __init__(  # noqa: PLR0913 (what people's folders differ in)
        self,
        root: str | Path,
        *,
        train: str,
        test: str,
        input_size: int | None,
        interpolation: str,
        validation: str | None = None,
        load_size: int | None = None,
        fit: str = "stretch",
        cut_from: str = "kept",
        stream: bool | None = None,
        labels: str | None = None,
        classes: Sequence[str] | None = None,
        test_fraction: float = 0.2,
        split_seed: int = 0,
        on_bad_image: str = "error",
    ) -> None:
        self.root = Path(root).expanduser()
        parts = train, validation, test
        self.layout = Layout(self.root, *parts, labels, test_fraction, split_seed, classes)
        self.input_size = input_size
        self.interpolation = interpolation
        self.load_size = load_size
        self.fit = fit
        self.cut_from = cut_from
        self.stream = stream
        self.skips = on_bad_image == "skip"
        self._copies = 0  # images to train on that are test images as well; `content` counts them

    def facts(self) -> DatasetInfo:
        """List the files and tell their counts; no image is opened.

        Raises:
            UserError: A folder is missing, a class is empty, the parts have other classes, or a
                setting is impossible.
        """
        parts = self.divide()
        seen = self._check_settings().seen
        held = 0 if parts.validation is None else len(parts.validation.images)
        counts = len(parts.train.images), len(parts.test.images), len(parts.train.classes)
        return DatasetInfo(*counts, channels=3, size=seen, validation_images=held)

    def divide(self) -> Division:
        """List the images of each part.

        Raises:
            UserError: See `facts`.
        """
        return self.layout.divide()

    def taken(self) -> Division:
        """List the images that are loaded: without those that are skipped, which a line tells.

        Raises:
            UserError: See `facts`.
        """
        parts = self.divide()
        if not self.skips:
            return parts
        form = Form(self._check_settings().kept, self.interpolation, self.fit)
        place = self._place(self._key(form), parts.parts())
        found = {n: _sound(part, form, f"{place}.{n}") for n, part in parts.parts().items()}
        return parts._replace(**found)

    def content(self) -> str | None:
        """Give a digest of all parts' images, by their names below them; see `Source`.

        Raises:
            UserError: An image cannot be read.
        """
        try:
            parts = self.divide().parts()
        except UserError:  # of what is missing, which `facts` tells
            return None
        found = {name: self._digests(part) for name, part in parts.items()}
        tested = set(found["test"].values())
        self._copies = sum(digest in tested for digest in found["train"].values())
        digests = {name: combined(own) for name, own in found.items()}
        return combined({**digests, "decoder": str(DECODER)})

    def _digests(self, part: Listing) -> dict[str, str]:
        found = digests_of_files(part.folder, part.names())
        if self.layout.labels is None:
            return found
        labels = (part.classes[label] for label in part.labels)  # which no folder's name tells
        return {f"{c}/{n}": found[n] for c, n in zip(labels, part.names(), strict=True)}

    def load(self) -> Loaded:
        """Read the pixels from the cache, or decode every image and fill it.

        Raises:
            UserError: As for `facts`, or images cannot be decoded.
        """
        form = Form(self._check_settings().kept, self.interpolation, self.fit)
        key = self._key(form)
        parts = self.taken().parts()
        self._tell_of_copies(parts["train"].folder, parts["test"].folder)
        needed = sum(len(part.images) for part in parts.values()) * 3 * form.size**2
        made = self._streamed if self.streams(needed) else self._decoded
        read = made(parts, form, key)
        return Loaded(read["train"], read["test"], parts["train"].classes, read.get("validation"))

    def _decoded(self, parts: dict[str, Listing], form: Form, key: str) -> dict[str, Labelled]:
        path = cache_folder() / f"{self._place(key, parts)}.safetensors"
        shapes = {name: (len(part.images), 3, *[form.size] * 2) for name, part in parts.items()}
        pixels = cache.read(path, shapes)
        if pixels is None:
            _check_memory(sum(map(math.prod, shapes.values())), self.root)
            places = [image.path for part in parts.values() for image in part.images]
            sizes = [len(part.images) for part in parts.values()]
            pixels = dict(zip(parts, decode(places, form).split(sizes), strict=True))
            cache.write(path, {name: own.contiguous() for name, own in pixels.items()})
        return {name: _labelled(pixels[name], part) for name, part in parts.items()}

    def _streamed(self, parts: dict[str, Listing], form: Form, key: str) -> dict[str, Labelled]:
        return {name: self._in_files(part, form, key) for name, part in parts.items()}

    def streams(self, needed: int) -> bool:
        """Decide where the pixels, so many bytes, are held."""
        if self.cut_from == "original":
            return True
        return not _fits(needed) if self.stream is None else self.stream

    def _in_files(self, part: Listing, form: Form, key: str) -> Labelled:
        paths = [image.path for image in part.images]
        early = self.cut_from == "original"
        return _labelled(Files(paths, form, digest=key[:16], cut_early=early), part)

    def _tell_of_copies(self, train: Path, test: Path) -> None:
        if self._copies:
            log.warning(
                "%s of %s also in %s, byte for byte: the test is of images that were learned from",
                *(
                    counted(self._copies, "image"),
                    train,
                    "its test part" if test == train else test.name,
                ),
            )

    def _check_settings(self) -> Sides:
        if self.interpolation not in FILE_INTERPOLATIONS:
            raise UserError(
                f"dataset.interpolation={self.interpolation} does not resize image files; "
                f"use one of {', '.join(FILE_INTERPOLATIONS)}"
            )
        if self.fit not in FITS:
            raise UserError(f"dataset.fit={self.fit} is unknown; use one of {', '.join(FITS)}")
        self._check_cut()
        if self.input_size is None or self.input_size < 1:
            given = "null" if self.input_size is None else self.input_size
            raise UserError(
                f"dataset.input_size={given}: image files differ in size, so give the side in "
                f"pixels that they are resized to{self._suggestion()}"
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

    def _suggestion(self) -> str:
        """Say which size loses nothing of most images, by a few of them."""
        side = typical_side([image.path for image in self.divide().train.images])
        if side is None:
            return ""
        usual = max((size for size in USUAL_SIDES if size <= side), default=side)
        return (
            f"; the shorter side of these is {counted(side, 'pixel')} in the middle, so that "
            f"dataset.input_size={usual} enlarges few, and a smaller one is faster"
        )

    def _key(self, form: Form) -> str:
        """Name the pixels by all that decides them: what the files hold, not where they lie."""
        # PIL's version, as its decoders differ in the last bit.
        facts = [self.content(), *form, DECODER, PIL.__version__]
        if self.skips:
            facts.append("skip")
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()

    def _place(self, key: str, parts: Mapping[str, Listing]) -> str:
        """Name what is kept of images in their order, which a table decides, and no digest has."""
        if self.layout.labels is None:
            return key
        order = json.dumps([part.names() for part in parts.values()])
        return f"{key}-{digest_of_text(order.encode())[:16]}"


def _sound(part: Listing, form: Form, place: str) -> Listing:
    """Leave out images that cannot be decoded, and say so."""
    bad = damaged([image.path for image in part.images], form, place)
    if not bad:
        return part
    log.warning(
        "left out, as they cannot be decoded: %d of %s of %s: %s",
        *(len(bad), counted(len(part.images), "image"), part.folder, shown_names(bad)),
    )
    return part.some([i for i, image in enumerate(part.images) if image.path not in bad])


def _fits(needed: int) -> bool:
    """Tell whether pixels leave half of this machine's memory to the rest."""
    return needed <= physical_memory() / 2


def _check_memory(needed: int, root: Path) -> None:
    """Refuse what would be killed for memory after hours of decoding."""
    there = physical_memory()
    if needed > there:
        raise UserError(
            f"dataset.root={root} needs {needed / 2**30:.1f} GiB of memory as pixels, this machine "
            f"has {there / 2**30:.1f}; set dataset.stream=null or true, or choose a smaller "
            "dataset.input_size or dataset.load_size"
        )


def _labelled(images: torch.Tensor | Files, listing: Listing) -> Labelled:
    return Labelled(images, torch.tensor(listing.labels, dtype=torch.int64))
