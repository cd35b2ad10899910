"""A row's images as the other loops take them: torchvision's data sets, or NumPy arrays.

python -m benchmarks.pictures --row lenet     write the arrays, and print the file's name

The arrays are a turn's images as they are, for loops of another kind, and the first batch as
Étude's network sees it, for the bare step: a maximum over noise takes longer than over digits.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

from benchmarks.environments import FOLDER
from benchmarks.network import compose
from benchmarks.referee import options
from benchmarks.rows import Row
from etude.config import Config, settings
from etude.data.sources.cifar import CIFAR10
from etude.data.sources.idx import MNIST
from etude.train.builders import load_data, make_plan

# What the augmentations of conf/augment/ are called in torchvision.
AUGMENTS: dict[str, list[Callable[[Any], Any]]] = {
    "": [],
    "shift": [transforms.RandomAffine(0, translate=(0.125, 0.125))],
    "shift_flip": [
        transforms.RandomAffine(0, translate=(0.125, 0.125)),
        transforms.RandomHorizontalFlip(),
    ],
    "crop_flip_erase": [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()],
}
ERASE = transforms.RandomErasing(0.5, scale=(0.02, 0.4), ratio=(0.3, 3.33))  # of a tensor


class Pictures(Dataset[tuple[Any, int]]):
    """Arrays in memory, given as torchvision's CIFAR10 gives its own: for pictures in files.

    Args:
        images: (N, H, W, C) uint8.
        labels: (N,).
        transform: Applied to every image.
    """

    def __init__(self, images: Any, labels: Sequence[int], transform: Callable[[Any], Any]) -> None:
        self.data, self.targets, self.transform = images, labels, transform

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.data[index].squeeze())), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


def loader(config: Config, row: Row, workers: int) -> DataLoader[Any]:
    """Give the row's training images by the DataLoader idiom: every image by itself."""
    return loaded(Subset(_dataset(config, row), range(row.images)), row, workers, config.device)


def loaded(dataset: Dataset[Any], row: Row, workers: int, device: str) -> DataLoader[Any]:
    """Give a data set's images in batches, by the DataLoader idiom."""
    return DataLoader(
        dataset,
        batch_size=row.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
    )


def arrays(config: Config, row: Row) -> Path:
    """Write a turn's images as NumPy arrays, once; give the file."""
    words = crc32(" ".join(row.words).encode())
    path = FOLDER / "arrays" / f"{row.name}-{row.batch_size}x{row.steps}-{words:08x}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        data = load_data(config)
        plan = make_plan(config, data, torch.device("cpu"), "float32")
        batch = next(plan.train.epoch(config.seed, 0, row.batch_size))
        np.savez(
            path,
            images=data.train.images[: row.images].permute(0, 2, 3, 1).contiguous().numpy(),
            labels=data.train.labels[: row.images].numpy(),
            batch=batch.images.contiguous().numpy(),
            batch_labels=batch.labels.numpy(),
        )
    return path


def _dataset(config: Config, row: Row) -> Dataset[Any]:
    dataset = settings(config.dataset)
    transform = transform_of(row, dataset["input_size"])
    if dataset["_target_"].endswith(MNIST.__name__):
        return datasets.MNIST(dataset["root"], transform=transform)
    if dataset["_target_"].endswith(CIFAR10.__name__):
        return datasets.CIFAR10(dataset["root"], transform=transform)
    with np.load(arrays(config, row)) as written:
        return Pictures(written["images"], written["labels"].tolist(), transform)


def transform_of(row: Row, size: int | None) -> Callable[[Any], torch.Tensor]:
    """Give what a row's images go through, one by one; `size` where they are resized."""
    resize = [transforms.Resize(size)] if size not in (None, 32) else []
    erase = [ERASE] if row.augment.endswith("erase") else []
    return transforms.Compose([*resize, *AUGMENTS[row.augment], transforms.ToTensor(), *erase])


if __name__ == "__main__":
    row, chosen = options(__doc__)
    print(arrays(compose(row, device=chosen.device, precision="float32"), row))
