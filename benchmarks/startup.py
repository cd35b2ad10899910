"""How long the command takes to answer, beside a bare Hydra app, and to take its first step.

python -m benchmarks.startup
"""

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

PAIRS = 9
GOAL = 1.5
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


def answers(folder: str) -> dict[str, Any]:
    """Alternate both programs on each question."""
    etude = [Path(sys.executable).with_name("etude")]
    bare = [sys.executable, ROOT / "benchmarks" / "hydra_app.py"]
    told: dict[str, Any] = {}
    for name, words in COMMANDS.items():
        pairs = [
            (seconds_of([*etude, *words], folder), seconds_of([*bare, *words], folder))
            for _ in range(PAIRS + 1)
        ][1:]  # the first fills the disk's cache
        ours, theirs = zip(*pairs, strict=True)
        told[name] = {"etude": ours, "hydra": theirs, "ratio": ratios(ours, theirs)._asdict()}
    return told


def first_steps(folder: str) -> dict[str, list[float]]:
    """Time from the command to the end of the first step, three times each."""
    return {
        name: [first_step((*words, *ONE_STEP), f"{folder}/{turn}") for turn in range(3)]
        for name, words in EXPERIMENTS.items()
    }


def first_step(words: Sequence[str], folder: str) -> float:
    """Run the command in a folder until its first step is done; give the seconds it took."""
    command = [sys.executable, "-m", "benchmarks.first_step", *words, f"hydra.run.dir={folder}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
    return float(answer.stdout.split()[-1])


def show(told: dict[str, Any]) -> str:
    """Lay the results out."""
    lines = [
        [
            f"etude {name}",
            f"{spread(pair['etude']).median:.2f}",
            f"{spread(pair['hydra']).median:.2f}",
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**pair["ratio"]),
            tables.MARKS[pair["ratio"]["median"] <= GOAL],
        ]
        for name, pair in told["answers"].items()
    ]
    head = ["command", "seconds", "bare Hydra", "ratio", f"goal ≤ {GOAL:g}"]
    steps = [
        [name, f"{spread(seconds).median:.1f}"] for name, seconds in told["first_steps"].items()
    ]
    first = tables.table(["from the command to the end of the first step", "seconds"], steps)
    return f"### Start-up\n\n{tables.table(head, lines)}\n\n{first}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = {"answers": answers(folder), "first_steps": first_steps(folder)}
    text = show(told)
    print(text)
    tables.save("startup", told, text)


if __name__ == "__main__":
    main()
