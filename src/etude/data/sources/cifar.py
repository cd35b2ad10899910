"""CIFAR-10 and CIFAR-100: https://www.cs.toronto.edu/~kriz/cifar.html, read by torchvision.

The published files are Python pickles. torchvision compares every file's md5 with the published
one before it unpickles it, so nothing but the published bytes is ever unpickled.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

from etude.base.errors import UserError
from etude.base.lazy import torch, torchvision
from etude.data.sources.download import fetch
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
        train, test = self._read(train=True), self._read(train=False)
        return Loaded(_labelled(train), _labelled(test), tuple(train.classes))

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

    def _read(self, *, train: bool) -> torchvision.datasets.CIFAR10:
        reader: type[torchvision.datasets.CIFAR10] = getattr(torchvision.datasets, self.name)
        try:
            with warnings.catch_warnings():
                # Of how these old files spell a dtype; numpy 2.4.0 to 2.4.4 warned.
                warnings.filterwarnings("ignore", message=r".*align should be passed")
                return reader(self.root, train=train)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"{self.root / self.folder} does not hold the published files, by their md5 sums; "
                f"delete it, then set dataset.download=true or unpack {self.archive} again"
            ) from error


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
    files: ClassVar[tuple[str, ...]] = ("train", "test", "meta")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _labelled(part: torchvision.datasets.CIFAR10) -> Labelled:
    """Turn torchvision's (N, H, W, C) view back into the files' own order: (N, C, H, W)."""
    images = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()
    return Labelled(images, torch.tensor(part.targets, dtype=torch.int64))
