"""How long the command takes to answer, beside a bare Hydra app, and to take its first step.

python -m benchmarks.startup
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.rows import ROOT
from benchmarks.statistics_of import ratios, spread

PAIRS, SMALL = 9, 1
GOAL, FIRST_STEP_GOAL = 1.5, 2.0
COMMANDS = {"--help": ["--help"], "--cfg job": ["--cfg", "job"]}
ONE_STEP = ("dataset.limit_test=100", "train.epochs=1")
EXPERIMENTS = {
    "etude (digits)": (),
    "experiment=lenet5_mnist": ("experiment=lenet5_mnist",),
}


def seconds_of(command: Sequence[str | Path], folder: str) -> float:
    """Run a command that must succeed; give its wall time."""
    start = time.perf_counter()
    words = [str(word) for word in command]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603
    return time.perf_counter() - start


def answers(folder: str, pairs: int) -> dict[str, Any]:
    """Alternate both programs on each question."""
    etude = [Path(sys.executable).with_name("etude")]
    bare = [sys.executable, ROOT / "benchmarks" / "hydra_app.py"]
    told: dict[str, Any] = {}
    for name, words in COMMANDS.items():
        turns = [
            (seconds_of([*etude, *words], folder), seconds_of([*bare, *words], folder))
            for _ in range(pairs + 1)
        ][1:]  # the first fills the disk's cache
        ours, theirs = zip(*turns, strict=True)
        told[name] = {"etude": ours, "hydra": theirs, "ratio": ratios(ours, theirs)._asdict()}
    return told


def first_steps(folder: str, pairs: int) -> dict[str, Any]:
    """Alternate the way from the command to the end of the first step with importing PyTorch."""
    torch = [sys.executable, "-c", "import torch"]
    told: dict[str, Any] = {}
    for number, (name, words) in enumerate(EXPERIMENTS.items()):
        turns = [
            (
                first_step((*words, *ONE_STEP), f"{folder}/{number}-{turn}"),
                seconds_of(torch, folder),
            )
            for turn in range(pairs)
        ]
        ours, theirs = zip(*turns, strict=True)
        told[name] = {"etude": ours, "torch": theirs, "ratio": ratios(ours, theirs)._asdict()}
    return told


def first_step(words: Sequence[str], folder: str) -> float:
    """Run the command in a folder until its first step is done; give the seconds it took."""
    command = [sys.executable, "-m", "benchmarks.first_step", *words, f"hydra.run.dir={folder}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
    return float(answer.stdout.split()[-1])


def show(told: dict[str, Any]) -> str:
    """Lay the results out."""
    answered = _table("command", "bare Hydra", told["answers"], GOAL)
    first = _table("to the end of the first step", "import torch", told["first_steps"],
                   FIRST_STEP_GOAL)  # fmt: skip
    return f"### Start-up\n\n{answered}\n\n{first}\n"


def _table(title: str, beside: str, told: dict[str, Any], goal: float) -> str:
    lines = [
        [
            name,
            *(f"{spread(turns).median:.2f}" for key, turns in pair.items() if key != "ratio"),
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**pair["ratio"]),
            tables.MARKS[pair["ratio"]["median"] <= goal],
        ]
        for name, pair in told.items()
    ]
    return tables.table([title, "seconds", beside, "ratio", f"goal ≤ {goal:g}"], lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="once each: does it run?")
    small = parser.parse_args(words).small
    pairs = SMALL if small else PAIRS
    with tempfile.TemporaryDirectory() as folder:
        told = {"answers": answers(folder, pairs), "first_steps": first_steps(folder, pairs)}
    tables.give("startup", told, show(told), small=small)


if __name__ == "__main__":
    main()
