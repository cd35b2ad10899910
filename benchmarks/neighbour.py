"""A run whose threads have the machine to themselves, and one beside two processes that are busy.

    python -m benchmarks.neighbour [experiment=lenet5_digits …] [--busy 2] [--rounds 7]

Idle, the default is held against threads that wait for each other as long as libgomp lets them;
beside the busy processes, against one thread. They take turns, each a command of its own; a ratio
is the median of the rounds', of the seconds that the run's summary gives.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import tables
from benchmarks.rows import ROOT
from etude.base.threads import SPINNING

DEFAULT, UNBOUND, ONE = "by default", "threads that spin as long as they like", "one thread"
# A choice for Intel's runtime, which is not PyTorch's here, leaves libgomp as it comes.
WAYS = {DEFAULT: {}, UNBOUND: {"KMP_BLOCKTIME": "200"}, ONE: {"OMP_NUM_THREADS": "1"}}
# What stands beside the default, and the most that the default may take of its time.
HELD = {"idle": (UNBOUND, 1.05), "beside busy processes": (ONE, 4.0)}
QUIET = ["record.tensorboard=false", "record.curves=false", "device=cpu"]
WORDS = ["experiment=lenet5_digits"]


def spin() -> None:
    """Keep a core busy until killed."""
    while True:
        pass


@contextmanager
def neighbours(count: int) -> Generator[None]:
    """Have so many busy processes beside this one."""
    busy = [multiprocessing.get_context("fork").Process(target=spin) for _ in range(count)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def seconds(way: str, words: Sequence[str]) -> float:
    """Give the seconds that a run takes from its first step to its last, in a folder of its own."""
    own = {key: value for key, value in os.environ.items() if key not in SPINNING}
    own.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as folder:
        environment = own | WAYS[way] | {"ETUDE_OUTPUTS": folder}
        command = [sys.executable, "-m", "etude", *words, *QUIET]
        subprocess.run(  # noqa: S603 (our own)
            command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment
        )
        (summary,) = Path(folder).glob("*/*/summary.json")
        return float(json.loads(summary.read_text(encoding="utf-8"))["seconds"])


def measure(words: Sequence[str], busy: int, rounds: int) -> dict[str, Any]:
    """Let the default and what it is held against take turns, alone and beside others."""
    told: dict[str, Any] = {}
    for where, (other, _) in HELD.items():
        with neighbours(busy if where != "idle" else 0):
            turns = [
                {way: seconds(way, words) for way in (DEFAULT, other)[:: 1 - 2 * (number % 2)]}
                for number in range(rounds)
            ]
        told[where] = {way: [turn[way] for turn in turns] for way in (DEFAULT, other)}
    return {"words": [*words], "busy": busy, "seconds": told}


def show(told: dict[str, Any]) -> str:
    """Lay the results out."""
    head = ["", "by default, s", "the other, s", "default ÷ it", "rounds", "goal", ""]
    lines = [_line(where, told["seconds"][where]) for where in HELD]
    title = f"### {' '.join(told['words'])}: alone, and beside {told['busy']} busy processes"
    return f"{title}\n\n{tables.table(head, lines)}\n"


def _line(where: str, taken: dict[str, list[float]]) -> list[str]:
    other, most = HELD[where]
    ratios = [ours / theirs for ours, theirs in zip(taken[DEFAULT], taken[other], strict=True)]
    return [
        f"{where}, against {other}",
        f"{median(taken[DEFAULT]):.2f}",
        f"{median(taken[other]):.2f}",
        f"{median(ratios):.2f}",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
        f"≤ {most:g}",
        tables.MARKS[median(ratios) <= most],
    ]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--busy", type=int, default=2, help="processes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--small", action="store_true", help="in seconds: does it run?")
    parser.add_argument("words", nargs="*", metavar="key=value", help="as for etude")
    chosen = parser.parse_intermixed_args(words)
    run, rounds = chosen.words or WORDS, chosen.rounds
    if chosen.small:
        run, rounds = [*WORDS, "dataset.limit_train=100", "train.epochs=1"], 1
    told = measure(run, chosen.busy, rounds)
    tables.give("neighbour", told, show(told), small=chosen.small)


if __name__ == "__main__":
    main()
