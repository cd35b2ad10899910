"""An epoch of many JPEGs that stay in their files: its memory, and its pace beside decoding alone.

python -m benchmarks.long_stream [--root data/catdog/train] [--images 20000] [--workers 2]

Decoding alone is every image decoded and brought to 224×224 by as many processes, and thrown away.
The two take turns; our workers stay from epoch to epoch. Memory is what belongs to the process and
its workers, those of the other ways included, a share of what they have in common counted once.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import tables
from benchmarks.held import held_by
from benchmarks.streaming import BATCH, KEPT, SEEN, Way, make_images, ours, turn
from etude.base.allocator import keep_memory
from etude.data.sources.decode import Form, Window, read_window
from etude.data.sources.listing import list_images

ROUNDS, GOAL = 5, 0.9
PLACE_FLIP = {"crop": "place", "flip_probability": 0.5}
WAYS: dict[str, dict[str, Any]] = {
    "cut out in the middle": {},
    "at a random place, mirrored or not": PLACE_FLIP,
    "and coloured, as for AlexNet": {**PLACE_FLIP, "colour_std": 0.1},
}
WHOLE = Window(0.0, 0.0, 1.0, 1.0, "bilinear")


def decode(paths: Sequence[str]) -> None:
    """Decode images, and keep none."""
    torch.set_num_threads(1)
    for path in paths:
        read_window(path, WHOLE, Form(KEPT, "bilinear", "crop"), SEEN)


def decoding(paths: Sequence[str], workers: int) -> float:
    """Give the seconds that processes take for decoding alone."""
    context, start = multiprocessing.get_context("fork"), time.perf_counter()
    shares = [paths[first::workers] for first in range(workers)]
    processes = [context.Process(target=decode, args=(share,)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - start


def held(way: Way, epoch: int, images: int) -> list[int]:
    """Give the bytes of memory at each tenth of an epoch, whose time the looking takes part of."""
    tenth = max(1, images // BATCH // 10)
    return [held_by(os.getpid()) for number, _ in enumerate(way(epoch)) if number % tenth == 0]


def measure(root: Path, images: int, workers: int, rounds: int) -> dict[str, Any]:
    """Let both take turns over the same files, each of which comes as often as it must."""
    listed = list_images(root).images
    paths = [listed[place % len(listed)].path for place in range(images)]
    ways = {name: ours(paths, changes, workers, cut_early=True) for name, changes in WAYS.items()}
    turns = [
        {
            "decoding": decoding(paths, workers),
            **{name: turn(way, epoch)[0] for name, way in ways.items()},
        }
        for epoch in range(rounds)
    ]
    return {
        "images": images,
        "workers": workers,
        "decoding": [turn["decoding"] for turn in turns],
        "streaming": {name: [turn[name] for turn in turns] for name in WAYS},
        "memory": {name: held(way, rounds, images) for name, way in ways.items()},
    }


def show(told: dict[str, Any]) -> str:
    """Lay the results out."""
    head = ["each image", "decoding alone, images/s", "streamed", "÷", f"goal {GOAL}",
            "memory in the middle", "at the end"]  # fmt: skip
    title = f"### An epoch of {told['images']:,} images from files, {told['workers']} workers"
    return f"{title}\n\n{tables.table(head, [_line(told, name) for name in WAYS])}\n"


def _line(told: dict[str, Any], name: str) -> list[str]:
    alone, streamed, memory = told["decoding"], told["streaming"][name], told["memory"][name]
    ratio = median(a / b for a, b in zip(alone, streamed, strict=True))
    return [
        name,
        *(f"{told['images'] / median(seconds):,.0f}" for seconds in (alone, streamed)),
        f"{ratio:.2f}",
        tables.MARKS[ratio >= GOAL],
        *(f"{held / 2**20:,.0f} MiB" for held in (memory[len(memory) // 2], memory[-1])),
    ]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("data/catdog/train"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="in seconds: does it run?")
    chosen = parser.parse_args(words)
    keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        images, rounds, root = chosen.images, ROUNDS, chosen.root
        if chosen.small:
            images, rounds, root = 4, 1, Path(folder) / "made"
            make_images(root, images)
        told = measure(root, images, chosen.workers, rounds)
    tables.give("long_stream", told, show(told), small=chosen.small)


if __name__ == "__main__":
    main()
