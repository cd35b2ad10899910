"""Whether cost grows as it should: an epoch's time with its images, and memory with the epochs.

python -m benchmarks.growth
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import tables
from benchmarks.contestants.etude_loop import epochs_of
from benchmarks.network import compose_words
from benchmarks.rows import LENET, Row

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 60_000)
EPOCHS = 30
SMALL = ((100, 200, 400), 3)  # images and epochs, to see that it runs
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Give the memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * PAGE


def epochs(images: int, row: Row) -> Iterator[dict[str, Any]]:
    """Train a row's network on so many images; every item is an epoch's metrics."""
    words = row.etude_words(device="cpu", precision="float32")
    limit = f"dataset.limit_train={images}"
    config = compose_words([*(w for w in words if not w.startswith(limit[:19])), limit])
    return epochs_of(config, "float32")[0]


def epoch_seconds(sizes: Sequence[int], row: Row) -> dict[int, float]:
    """Time an epoch of each size: the median of three rounds over all sizes."""
    running = {size: epochs(size, row) for size in sizes}
    next(running[sizes[2]])  # warms up
    rounds = [{size: _seconds(each) for size, each in running.items()} for _ in range(3)]
    return {size: median(turn[size] for turn in rounds) for size in sizes}


def _seconds(running: Iterator[dict[str, Any]]) -> float:
    start = time.perf_counter()
    next(running)
    return time.perf_counter() - start


def memory(images: int, row: Row, count: int) -> list[int]:
    """Give the bytes held after each of many short epochs."""
    running = epochs(images, row)
    held: list[int] = []
    for _ in range(count):
        next(running)
        held.append(resident_bytes())
    return held


def show(seconds: dict[int, float], held: list[int]) -> str:
    """Lay the results out."""
    largest = max(seconds)
    whole = seconds[largest] / largest
    lines = [
        [f"{size:,}", f"{taken:.3f}", f"{taken / size * 1e6:.1f}", f"{taken / size / whole:.2f}"]
        for size, taken in seconds.items()
    ]
    head = ["images", "seconds an epoch", "µs an image", "÷ that of the largest"]
    third, last = held[2] / 2**20, held[-1] / 2**20
    flat = f"Held after epoch 3: {third:,.1f} MiB, after epoch {len(held)}: {last:,.1f} MiB."
    return f"### Growth: LeNet, float32\n\n{tables.table(head, lines)}\n\n{flat}\n"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="in seconds: does it run?")
    small = parser.parse_args(words).small
    sizes, count = SMALL if small else (SIZES, EPOCHS)
    row = LENET.small() if small else LENET
    seconds = epoch_seconds(sizes, row)
    held = memory(sizes[0], row, count)
    tables.give(
        "growth", {"epoch_seconds": seconds, "held_bytes": held}, show(seconds, held), small=small
    )


if __name__ == "__main__":
    main()
