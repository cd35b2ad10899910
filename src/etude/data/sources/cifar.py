"""CIFAR-10 and CIFAR-100: https://www.cs.toronto.edu/~kriz/cifar.html.

The published files are Python pickles. Each is held against its published md5, which torchvision
knows, and is then read by a reader that runs nothing (`pickled.py`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar

from etude.base.errors import UserError
from etude.base.lazy import torch, torchvision
from etude.data.sources.download import fetch
from etude.data.sources.pickled import read_pickled
from etude.data.sources.source import DatasetInfo, Labelled, Loaded


class CIFAR10:
    """Small photographs in 10 classes: 50,000 for training, 10,000 for test, 32x32 in colour.

    Args:
        root: The folder that holds `cifar-10-batches-py`.
        download: Fetch the files into it when they are missing.
    """

    name: ClassVar[str] = "CIFAR10"
    num_classes: ClassVar[int] = 10
    folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[str] = "cifar-10-python.tar.gz"
    labels: ClassVar[str] = "labels"
    files: ClassVar[tuple[str, ...]] = (
        *(f"data_batch_{number}" for number in range(1, 6)),
        "test_batch",
        "batches.meta",
    )

    def __init__(self, root: str | Path, *, download: bool) -> None:
        self.root = Path(root).expanduser()
        self.download = download

    def facts(self) -> DatasetInfo:
        """Check that the files are there, and tell the published counts and shape.

        Raises:
            UserError: A file is missing or empty, and is not to be downloaded.
        """
        self._lacks_files()
        return DatasetInfo(50_000, 10_000, self.num_classes, channels=3, size=32)

    def content(self) -> None:
        """Leave it to the name: `load` refuses all but the published files, by their md5 sums."""

    def load(self) -> Loaded:
        """Read both parts, downloading them first where asked.

        Raises:
            UserError: A file is missing, is not the published one, or could not be downloaded.
        """
        if self._lacks_files():
            fetch(self.name, self.root, self.folder, self.files)
        published: type[torchvision.datasets.CIFAR10] = getattr(torchvision.datasets, self.name)
        names = self._read(str(published.meta["filename"]), str(published.meta["md5"]))
        classes = tuple(name.decode() for name in names[str(published.meta["key"])])
        return Loaded(self._part(published.train_list), self._part(published.test_list), classes)

    def _lacks_files(self) -> bool:
        """Tell whether files are to be downloaded."""
        folder = self.root / self.folder
        lost = [name for name in self.files if not _has_content(folder / name)]
        if lost and not self.download:
            raise UserError(
                f"dataset.root={self.root} has no {self.folder}/{lost[0]}; set "
                f"dataset.download=true, or unpack {self.archive} into {self.root}"
            )
        return bool(lost)

    def _part(self, files: list[list[str]]) -> Labelled:
        """Put the images and labels of files, each with its md5, one after the other."""
        batches = [self._read(name, published) for name, published in files]
        images = torch.cat([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = [label for batch in batches for label in batch[self.labels]]
        return Labelled(images, torch.tensor(labels, dtype=torch.int64))

    def _read(self, name: str, published: str) -> dict[str, Any]:
        path = self.root / self.folder / name
        content = path.read_bytes()
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != published:
            raise UserError(
                f"{path} is not the published file: its md5 is {found}, not {published}; delete "
                f"it, then set dataset.download=true or unpack {self.archive} again"
            )
        return read_pickled(content)


class CIFAR100(CIFAR10):
    """CIFAR-10's sibling with 100 fine classes, 500 and 100 images each.

    Args:
        root: The folder that holds `cifar-100-python`.
        download: Fetch the files into it when they are missing.
    """

    name: ClassVar[str] = "CIFAR100"
    num_classes: ClassVar[int] = 100
    folder: ClassVar[str] = "cifar-100-python"
    archive: ClassVar[str] = "cifar-100-python.tar.gz"
    labels: ClassVar[str] = "fine_labels"
    files: ClassVar[tuple[str, ...]] = ("train", "test", "meta")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
