"""Whole runs on a GPU, from the command to the summary.

python -m benchmarks.whole_runs             all of them
python -m benchmarks.whole_runs --quick     without the 200 epochs of VGG-19

What a run spends before its first step is told apart, from `benchmarks.first_step`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine, tables
from benchmarks.rows import ROOT, cifar10
from benchmarks.startup import first_step

JOBS = 16


class Run(NamedTuple):
    """A run as a user starts it, and the most seconds from the command to the summary."""

    words: tuple[str, ...]
    seconds: float
    plus_startup: bool = False


RUNS = {
    "LeNet, 20 epochs": Run(("experiment=lenet5_mnist", "train.epochs=20"), 4, plus_startup=True),
    "AlexNet, 12 epochs": Run(("experiment=alexnet_mnist", "train.epochs=12"), 8),
    "VGG-11, 6 epochs": Run(("experiment=vgg11_mnist", "train.epochs=6"), 15),
    "VGG-19 CIFAR, 200 epochs": Run(("experiment=vgg19_cifar10", *cifar10()), 150),
}
STEP = ("device=cuda", "precision=bfloat16", "train.step=graph", "train.deterministic=false")


def seconds_of(words: Sequence[str], folder: str) -> float:
    """Run the command, with its outputs in a folder; give its wall time."""
    start = time.perf_counter()
    subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "etude", *words],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"ETUDE_OUTPUTS": folder},
    )
    return time.perf_counter() - start


def measure(run: Run, folder: str) -> dict[str, Any]:
    """Run it once; tell its time, and what its own summary says."""
    words = (*run.words, *STEP)
    startup = first_step(words, f"{folder}/first")
    seconds = seconds_of(words, folder)
    (summary,) = sorted(Path(folder).glob("*/*/summary.json"), key=os.path.getmtime)[-1:]
    told = json.loads(summary.read_text(encoding="utf-8"))
    goal = run.seconds + startup * run.plus_startup
    return {
        "command": "etude " + " ".join(words),
        "seconds": seconds,
        "to_first_step": startup,
        "images_per_second": told["images_per_second"],
        "test_accuracy": told["final"]["test_accuracy"],
        "goal": goal,
        "met": seconds <= goal,
    }


def packed(folder: str) -> dict[str, Any]:
    """Time many seeds of LeNet in one command beside the same with one job at a time."""
    words = ("-m", "experiment=lenet5_mnist", f"seed=range({JOBS})", *STEP)
    together = seconds_of((*words, "name=packed", "hydra/launcher=local"), folder)
    one_by_one = seconds_of((*words, "name=one_by_one"), folder)
    return {"one_by_one": one_by_one, "together": together, "ratio": one_by_one / together}


def show(runs: dict[str, Any]) -> str:
    """Lay the results out."""
    lines = [
        [
            name,
            f"{run['seconds']:.1f}",
            f"{run['to_first_step']:.1f}",
            f"{run['images_per_second']:,.0f}",
            f"{run['test_accuracy']:.4f}",
            f"≤ {run['goal']:.1f}",
            tables.MARKS[run["met"]],
        ]
        for name, run in runs.items()
    ]
    head = ["run", "seconds", "to the first step", "images/s", "test accuracy", "goal", ""]
    return f"### From the command to the summary\n\n{tables.table(head, lines)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without the longest")
    quick = parser.parse_args().quick
    machine.require("cuda")
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: measure(run, folder)
            for name, run in RUNS.items()
            if not (quick and run.seconds > 100)
        }
        many = packed(folder)
    text = show(runs) + "\n{} LeNet runs packed: {ratio:.2f} times as fast.\n".format(JOBS, **many)
    print(text)
    tables.save("whole-runs", {"runs": runs, "packed": many}, text, device="cuda")


if __name__ == "__main__":
    main()
