"""Whether cost grows as it should: an epoch's time with its images, and memory with the epochs.

python -m benchmarks.growth
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import tables
from benchmarks.contestants.etude_loop import epochs_of
from benchmarks.network import compose_words
from benchmarks.rows import LENET

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 60_000)
EPOCHS = 30
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Give the memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * PAGE


def epochs(images: int, device: str) -> Iterator[dict[str, Any]]:
    """Train LeNet on so many images; every item is an epoch's metrics."""
    words = LENET.etude_words(device=device, precision="float32")
    limit = f"dataset.limit_train={images}"
    config = compose_words([*(w for w in words if not w.startswith(limit[:19])), limit])
    return epochs_of(config, "float32")[0]


def epoch_seconds(device: str) -> dict[int, float]:
    """Time an epoch of each size: the median of three rounds over all sizes."""
    running = {size: epochs(size, device) for size in SIZES}
    next(running[SIZES[2]])  # warms up
    rounds = [{size: _seconds(each) for size, each in running.items()} for _ in range(3)]
    return {size: median(turn[size] for turn in rounds) for size in SIZES}


def _seconds(running: Iterator[dict[str, Any]]) -> float:
    start = time.perf_counter()
    next(running)
    return time.perf_counter() - start


def memory(device: str) -> list[int]:
    """Give the bytes held after each of many short epochs."""
    running = epochs(SIZES[0], device)
    held: list[int] = []
    for _ in range(EPOCHS):
        next(running)
        held.append(resident_bytes())
    return held


def show(seconds: dict[int, float], held: list[int]) -> str:
    """Lay the results out."""
    whole = seconds[SIZES[-1]] / SIZES[-1]
    lines = [
        [f"{size:,}", f"{taken:.3f}", f"{taken / size * 1e6:.1f}", f"{taken / size / whole:.2f}"]
        for size, taken in seconds.items()
    ]
    head = ["images", "seconds an epoch", "µs an image", "÷ that of the largest"]
    third, last = held[2] / 2**20, held[-1] / 2**20
    flat = f"Held after epoch 3: {third:,.1f} MiB, after epoch {EPOCHS}: {last:,.1f} MiB."
    return f"### Growth: LeNet, float32\n\n{tables.table(head, lines)}\n\n{flat}\n"


def main() -> None:
    device = "cpu"
    seconds = epoch_seconds(device)
    held = memory(device)
    text = show(seconds, held)
    print(text)
    tables.save("growth", {"epoch_seconds": seconds, "held_bytes": held}, text)


if __name__ == "__main__":
    main()
