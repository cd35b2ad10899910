"""Images that stay in their files: ours beside torchvision's ImageFolder and the DataLoader idiom.

python -m benchmarks.streaming [--root data/catdog/train] [--workers 2]

The pipeline alone, from JPEG files to a network's batches of 224×224 on the CPU, each with as many
workers, which stay from epoch to epoch; an epoch a turn, in which few files come several times.
Ours are the augmentations of ImageNet's systems as `dataset=imagenet` has them; torchvision's are
the same but for the colours along principal components, and the windows' own interpolations, which
only ours have. `kept` cuts windows out of squares of 256 pixels, as from memory; `original` out of
the images themselves.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks import tables
from benchmarks.augment import PRESETS
from benchmarks.held import used_by
from benchmarks.statistics_of import ratios, spread
from etude.base.allocator import keep_memory
from etude.data.augment.augment import Augment
from etude.data.normalize import fit
from etude.data.sources.decode import Form
from etude.data.sources.files import Files
from etude.data.sources.listing import list_images
from etude.data.stream import Stream

BATCH, KEPT, SEEN, ROUNDS, IMAGES = 64, 256, 224, 5, 2048
GOAL = 1.5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FLIPPED = [
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize(MEAN, STD),
]
JITTER = transforms.ColorJitter(0.5, 0.5, 0.5)
# The augmentations of conf/augment, and torchvision's of the same kind, image by image.
THEIRS: dict[str, list[Callable[[Any], Any]]] = {
    "alexnet": [transforms.Resize(KEPT), transforms.RandomCrop(SEEN), *FLIPPED],
    "resnet": [transforms.RandomResizedCrop(SEEN), *FLIPPED],
    "inception": [transforms.RandomResizedCrop(SEEN), JITTER, *FLIPPED],
}
Way = Callable[[int], Iterable[Any]]


def ours(
    paths: Sequence[str], settings: Mapping[str, Any], workers: int, *, cut_early: bool
) -> Way:
    """Give what makes our batches of an epoch, augmented by settings."""
    form = Form(KEPT, "bilinear", "crop")
    files = Files(paths, form, digest="", cut_early=cut_early)
    stream = Stream(
        files,
        torch.zeros(len(paths), dtype=torch.int64),
        normalize=fit("mean_std", files, MEAN, STD),
        augment=Augment(**settings).fitted(files[:BATCH], torch.device("cpu")),
        device="cpu",
        channels_last=True,
        workers=workers,
        size=SEEN,
    )
    return lambda epoch: (batch.images for batch in stream.epoch(0, epoch, BATCH))


def theirs(root: Path, name: str, workers: int, images: int) -> Way:
    """Give what makes the idiom's batches of an epoch."""
    folder = datasets.ImageFolder(str(root), transforms.Compose(THEIRS[name]))
    chosen = Subset(folder, torch.linspace(0, len(folder) - 1, images).long().tolist())
    how: Any = {"num_workers": workers, "persistent_workers": True}
    loader = DataLoader(chosen, batch_size=BATCH, shuffle=True, **how)
    return lambda _: (images for images, _ in loader)


def turn(way: Way, epoch: int) -> tuple[float, float]:
    """Make an epoch's batches: seconds, and seconds of all processors, the workers' included."""
    start, used = time.perf_counter(), used_by(os.getpid())
    for batch in way(epoch):
        assert batch.shape[1:] == (3, SEEN, SEEN)  # noqa: S101
    return time.perf_counter() - start, used_by(os.getpid()) - used


def measure(root: Path, name: str, workers: int, images: int, rounds: int) -> dict[str, Any]:
    """Let the ways take turns; the first turn of each is not counted."""
    listed = list_images(root).images
    paths = [listed[place * len(listed) // images].path for place in range(images)]
    ways = {
        "original": ours(paths, PRESETS[name][0], workers, cut_early=True),
        "kept": ours(paths, PRESETS[name][0], workers, cut_early=False),
        "dataloader": theirs(root, name, workers, images),
    }
    turns = [{way: turn(each, epoch) for way, each in ways.items()} for epoch in range(rounds + 1)]
    seconds = {way: [told[way][0] for told in turns[1:]] for way in ways}
    used = {way: [told[way][1] for told in turns[1:]] for way in ways}
    return {"images": images, "seconds": seconds, "cpu_seconds": used}


def show(told: Mapping[str, dict[str, Any]], workers: int) -> str:
    """Lay the results out."""
    lines = [_line(name, each) for name, each in told.items()]
    head = ["images/s", "original", "kept", "dataloader", "original ÷ dataloader", "quartiles",
            f"goal {GOAL}", "CPU ms an image", "dataloader's", "÷"]  # fmt: skip
    return f"### Streamed photographs, {workers} workers\n\n{tables.table(head, lines)}\n"


def _line(name: str, told: dict[str, Any]) -> list[str]:
    seconds, used, images = told["seconds"], told["cpu_seconds"], told["images"]
    gain = ratios(seconds["dataloader"], seconds["original"])
    spent = ratios(used["dataloader"], used["original"])
    return [
        name,
        *(f"{images / spread(seconds[way]).median:,.0f}" for way in seconds),
        f"{gain.median:.2f}",
        f"{gain.low:.2f}–{gain.high:.2f}",
        tables.MARKS[gain.median >= GOAL],
        *(f"{spread(used[way]).median / images * 1e3:.2f}" for way in ("original", "dataloader")),
        tables.quotient(spent.median),
    ]


def make_images(root: Path, count: int) -> None:
    """Write photographs of noise, for a run that shows that all of this runs."""
    (root / "noise").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(count):
        pixels = noise.integers(256, size=(40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((400, 365)).save(root / "noise" / f"{index}.jpg")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("data/catdog/train"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="in seconds: does it run?")
    chosen = parser.parse_args(words)
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        images, rounds, root = IMAGES, ROUNDS, chosen.root
        if chosen.small:
            images, rounds, root = 4, 1, Path(folder) / "made"
            make_images(root, images)
        if not root.is_dir():
            print(f"streaming is left out: there is no folder {root}")
            return
        told = {name: measure(root, name, chosen.workers, images, rounds) for name in THEIRS}
    tables.give(
        "streaming",
        {"workers": chosen.workers, "presets": told},
        show(told, chosen.workers),
        small=chosen.small,
    )


if __name__ == "__main__":
    main()
