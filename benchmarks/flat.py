"""Whether memory stays as it is: 500 epochs of a tiny run, and a study of 100 runs.

python -m benchmarks.flat

Both are the command as people type it, looked at from outside twice a second: what belongs to it
and to all of its processes, what they have in common counted once. What is compared is the
median of the second tenth of the time with that of the ninth: in the first all begins, and in the
last is drawn and written what a run leaves behind. Jobs that begin and end hold more and less.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks import tables
from benchmarks.held import held_by

GOAL, LOOK = 1.02, 0.5
TINY = ["experiment=lenet5_digits", "dataset.limit_train=200", "dataset.limit_test=100"]
RUN = [*TINY, "train.epochs=500"]
STUDY = ["-m", *TINY, "train.epochs=20", "seed=range(100)"]
SMALL_RUN = [*TINY, "train.epochs=10"]
SMALL_STUDY = ["-m", *TINY, "train.epochs=2", "seed=0,1"]


def watch(words: Sequence[str]) -> list[int]:
    """Run `etude` with words; give the bytes that it holds, look by look."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "etude", *words, "device=cpu"]
        process = subprocess.Popen(  # noqa: S603 (our own command)
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        held: list[int] = []
        while process.poll() is None:
            held.append(held_by(process.pid))
            time.sleep(LOOK)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return held


def usual(held: Sequence[int], tenth: int) -> float:
    """Give the median of what was held in a tenth of the time, the first being 0."""
    return median(held[len(held) * tenth // 10 : len(held) * (tenth + 1) // 10] or held)


def show(told: dict[str, list[int]]) -> str:
    """Lay the results out."""
    head = ["what", "in the second tenth", "in the ninth", "÷", f"goal ≤ {GOAL}", "the most"]
    return (
        f"### Memory over time\n\n{tables.table(head, [_line(*each) for each in told.items()])}\n"
    )


def _line(name: str, held: Sequence[int]) -> list[str]:
    early, late = (usual(held, tenth) for tenth in (1, 8))
    told = [f"{part / 2**20:,.1f} MiB" for part in (early, late, max(held))]
    return [name, *told[:2], f"{late / early:.3f}", tables.MARKS[late <= GOAL * early], told[2]]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="in seconds: does it run?")
    small = parser.parse_args(words).small
    asked: dict[str, list[str]] = {
        "500 epochs of LeNet on 200 digits": SMALL_RUN if small else RUN,
        "a study of 100 such runs of 20 epochs": SMALL_STUDY if small else STUDY,
    }
    told: dict[str, Any] = {name: watch(each) for name, each in asked.items()}
    tables.give("flat", {"held_bytes": told}, show(told), small=small)


if __name__ == "__main__":
    main()
