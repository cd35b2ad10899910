"""MNIST and Fashion-MNIST: idx files, http://yann.lecun.com/exdb/mnist.

The files lie in `<root>/<name>/raw`, unpacked or as published with `.gz`.
"""

from __future__ import annotations

import gzip
import logging
import math
import struct
import zlib
from pathlib import Path
from typing import ClassVar, NamedTuple

from etude.base.digests import combined, digests_of_files
from etude.base.errors import UserError
from etude.base.lazy import np, torch
from etude.base.text import counted
from etude.data.sources.download import fetch
from etude.data.sources.source import DatasetInfo, Labelled, Loaded

log = logging.getLogger(__name__)

PUBLISHED = DatasetInfo(
    train_images=60_000, test_images=10_000, num_classes=10, channels=1, size=28
)
# Where Debian's package dataset-fashion-mnist puts its files.
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


class Pair(NamedTuple):
    """One part's two files: their names, or where they were found."""

    images: Path
    labels: Path


NAMES = (
    Pair(Path("train-images-idx3-ubyte"), Path("train-labels-idx1-ubyte")),
    Pair(Path("t10k-images-idx3-ubyte"), Path("t10k-labels-idx1-ubyte")),
)


class MNIST:
    """Handwritten digits, 60,000 for training and 10,000 for test, 28x28 grey.

    Args:
        root: The folder that holds `MNIST/raw`.
        download: Fetch the files into it when they are missing.
    """

    name: ClassVar[str] = "MNIST"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    # Of the unpacked files, in the order of NAMES: the first half of what sha256sum gives.
    published: ClassVar[tuple[str, ...]] = (
        "ba891046e6505d7aadcbbe25680a0738", "65a50cbbf4e906d70832878ad85ccda5",
        "0fa7898d509279e482958e8ce81c8e77", "ff7bcfd416de33731a308c3f266cc351",
    )  # fmt: skip

    def __init__(self, root: str | Path, *, download: bool) -> None:
        self.root = Path(root).expanduser()
        self.download = download

    @property
    def raw(self) -> Path:
        """Where torchvision keeps and seeks the files."""
        return self.root / self.name / "raw"

    def folders(self) -> tuple[Path, ...]:
        """List the folders that are searched, in order."""
        return (self.raw,)

    def facts(self) -> DatasetInfo:
        """Check all four files by their headers and sizes, and tell what they hold.

        Raises:
            UserError: A file is missing or is not what its name says.
        """
        parts = self._find()
        return PUBLISHED if parts is None else self._check(parts)

    def content(self) -> str | None:
        """Give a digest of the four files, unpacked; None for the published ones. See `Source`.

        Raises:
            UserError: A file cannot be read.
        """
        parts = self._look()
        if parts is None:
            return None
        files = [path for part in parts for path in part]
        digests = digests_of_files(files[0].parent, [file.name for file in files]).values()
        if tuple(digests) == self.published:
            return None
        names = [str(name) for names in NAMES for name in names]
        return combined(dict(zip(names, digests, strict=True)))

    def load(self) -> Loaded:
        """Read both parts, downloading them first where asked.

        Raises:
            UserError: A file is missing, broken, or could not be downloaded.
        """
        parts = self._find() or self._download()
        if self._check(parts) == PUBLISHED and self.content() is not None:
            log.warning(
                "the files in %s are not the published %s, though as many and as large: a pixel or "
                "a label differs; the run is known by what they hold",
                parts[0].images.parent,
                self.name,
            )
        train, test = (_read(part) for part in parts)
        return Loaded(train, test, self.classes)

    def _find(self) -> tuple[Pair, Pair] | None:
        """Find all files in one folder; None when they are still to be downloaded."""
        parts = self._look()
        if parts is not None or self.download:
            return parts
        missing = [
            name for names in NAMES for name in names if not _present(self.raw / name).is_file()
        ]
        lacks = f"no {self.name} files" if len(missing) == 4 else f"not all {self.name} files"
        raise UserError(
            f"dataset.root={self.root} has {lacks}; set dataset.download=true, "
            f"or put {', '.join(map(str, missing))} into {self.raw}"
        )

    def _look(self) -> tuple[Pair, Pair] | None:
        """Find all files in one folder; None where there is none that has them all."""
        for folder in self.folders():
            train, test = (Pair(*(_present(folder / name) for name in names)) for names in NAMES)
            if all(path.is_file() for path in (*train, *test)):
                return train, test
        return None

    def _download(self) -> tuple[Pair, Pair]:
        folder = self.raw.relative_to(self.root).as_posix()
        fetch(self.name, self.root, folder, [str(name) for names in NAMES for name in names])
        train, test = (Pair(*(self.raw / name for name in names)) for names in NAMES)
        return train, test

    def _check(self, parts: tuple[Pair, Pair]) -> DatasetInfo:
        (train, size), (test, test_size) = (_count_and_size(part) for part in parts)
        if size != test_size:
            raise UserError(
                f"{parts[1].images} holds images of {counted(test_size, 'pixel')} a side, "
                f"{parts[0].images} "
                f"of {size}; they are not parts of one data set, so replace one of them"
            )
        return DatasetInfo(train, test, len(self.classes), channels=1, size=size)


class FashionMNIST(MNIST):
    """Zalando's articles of clothing, in MNIST's format: https://arxiv.org/abs/1708.07747.

    Args:
        root: The folder that holds `FashionMNIST/raw`; Debian's package is found without it.
        download: Fetch the files into it when they are missing.
    """

    name: ClassVar[str] = "FashionMNIST"
    classes: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    published: ClassVar[tuple[str, ...]] = (
        "c59f468a2f672dc815687fe0f8388776", "bad3541b69d912435c50bb6ba87bec29",
        "5b4141f0afbad91edebe8549f8fcffe0", "0402a96d92fd2663957122ceb108a494",
    )  # fmt: skip

    def folders(self) -> tuple[Path, ...]:
        """List the folders that are searched, in order."""
        return (self.raw, DEBIAN_FASHION_MNIST)


def _present(path: Path) -> Path:
    """Give the unpacked file where it is there, else the name of the packed one."""
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def _count_and_size(part: Pair) -> tuple[int, int]:
    """Check one part's headers; give its number of images and their side in pixels."""
    count, height, width = _shape(part.images, dimensions=3)
    (labels,) = _shape(part.labels, dimensions=1)
    if count != labels or count == 0:
        raise UserError(
            f"{part.images} holds {counted(count, 'image')}, {part.labels} "
            f"{counted(labels, 'label')}; they must be as many "
            "and at least one, so replace the file that is not the published one"
        )
    if height != width:
        raise UserError(f"{part.images} holds {height}x{width} images; they must be square")
    return count, height


def _shape(path: Path, *, dimensions: int) -> tuple[int, ...]:
    """Read an idx file's dimensions, and check its magic number and its length against them."""
    start, held = _start_and_length(path, 4 + 4 * dimensions)
    magic = bytes((0, 0, 8, dimensions))  # 8: unsigned bytes
    if start[:4] != magic or len(start) < 4 + 4 * dimensions:
        raise UserError(
            f"{path} starts with {start[:4].hex() or 'nothing'}, where an idx{dimensions} file of "
            f"bytes starts with {magic.hex()}; delete it and get the published file"
        )
    shape = struct.unpack(f">{dimensions}I", start[4:])
    promised = len(start) + math.prod(shape)
    if held != promised:
        raise UserError(
            f"{path} is not whole: its header promises {promised:,} bytes; "
            "delete it and get the published file"
        )
    return shape


def _start_and_length(path: Path, size: int) -> tuple[bytes, int]:
    """Read the first `size` bytes of a file and the length of all, both as unpacked."""
    try:
        if path.suffix != ".gz":
            with path.open("rb") as file:
                return file.read(size), path.stat().st_size
        with path.open("rb") as file:
            file.seek(-4, 2)  # gzip ends with the unpacked length (RFC 1952, ISIZE)
            (length,) = struct.unpack("<I", file.read(4))
        with gzip.open(path) as file:
            return file.read(size), length
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); get the published file again") from error


def _read(part: Pair) -> Labelled:
    """Read one part, whose headers have been checked: torchvision would take seconds to import."""
    images, labels = (torch.from_numpy(_values(path)) for path in part)
    _, size = _count_and_size(part)
    return Labelled(images.view(-1, 1, size, size), labels.long())


def _values(path: Path) -> np.typing.NDArray[np.uint8]:
    """Read an idx file's values, flat; byte 3 of its header counts the dimensions that follow."""
    if path.suffix != ".gz":
        with path.open("rb") as file:
            start = 4 + 4 * file.read(4)[3]
        return np.fromfile(path, np.uint8, offset=start)
    try:
        held = bytearray(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be unpacked ({error}); get the published file again"
        ) from error
    return np.frombuffer(held, np.uint8, offset=4 + 4 * held[3])
