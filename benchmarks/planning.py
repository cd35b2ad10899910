"""What a large sweep costs before its first run starts: composed, checked, named, handed over.

python -m benchmarks.planning

CPU seconds of one thread, which a busy machine changes less than it does the clock's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks import tables
from benchmarks.rows import ROOT
from benchmarks.statistics_of import spread

GOAL_MS = 20  # a job
SWEEPS: dict[str, Callable[[int], str]] = {
    "seed=range(…)": lambda jobs: f"seed=range({jobs})",
    "optimizer.lr=…,…": lambda jobs: f"optimizer.lr={','.join(f'{i + 1}e-6' for i in range(jobs))}",
}


class Size(NamedTuple):
    """How many jobs are planned, beside how few, and how often."""

    many: int = 1000
    few: int = 10
    rounds: int = 3


def cpu_seconds(word: str) -> float:
    """Have a sweep planned up to its first run; give the CPU seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ETUDE_OUTPUTS": folder}
        command = [sys.executable, "-m", "benchmarks.first_job", "-m", word]
        answer = subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment
        )
    return float(answer.stdout.split()[-1])


def measure(size: Size) -> dict[str, Any]:
    """Alternate many jobs and few; what is between them is the jobs' own."""
    told: dict[str, Any] = {}
    for name, word in SWEEPS.items():
        turns = [
            (cpu_seconds(word(size.many)), cpu_seconds(word(size.few))) for _ in range(size.rounds)
        ]
        each = [1000 * (many - few) / (size.many - size.few) for many, few in turns]
        told[name] = {"many": [m for m, _ in turns], "few": [f for _, f in turns], "ms": each}
    return told


def show(told: dict[str, Any], size: Size) -> str:
    """Lay the results out."""
    lines = [
        [
            name,
            *(f"{spread(sweep[key]).median:.1f}" for key in ("few", "many", "ms")),
            tables.MARKS[spread(sweep["ms"]).median <= GOAL_MS],
        ]
        for name, sweep in told.items()
    ]
    head = ["sweep", f"{size.few} jobs, CPU s", f"{size.many} jobs, CPU s", "ms a job"]
    return f"### Planning\n\n{tables.table([*head, f'goal ≤ {GOAL_MS}'], lines)}\n"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few jobs, once: does it run?")
    small = parser.parse_args(words).small
    size = Size(many=4, few=2, rounds=1) if small else Size()
    told = measure(size)
    tables.give("planning", told, show(told, size), small=small)


if __name__ == "__main__":
    main()
